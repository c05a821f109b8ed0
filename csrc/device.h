// What the operators need of a device. ops.cpp does all the rest, once for every device: it checks, asks for keys,
// describes what is to be filled, and hands the description down.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <optional>

#include "batch.h"
#include "stream/fill.h"
#include "stream/matrices.h"
#include "stream/pattern.h"
#include "stream/source.h"
#include "stream/sparse.h"

namespace fastinit {

using Generator = std::optional<at::Generator>;

// `on` is a tensor that is to be filled: it names one device among several of its kind. None of these throws for what a
// caller can get wrong but `check`.
class Device {
 public:
  // Refuses a generator of a kind that cannot serve this device.
  virtual void check(const at::Generator& generator) const = 0;

  // The keys of `count` fills, in the order in which they would draw one by one, from the generator or from the
  // default one of `on`'s device.
  virtual Captured draw(const at::Tensor& on, const Generator& generator, size_t count, Key* keys) const = 0;

  virtual void fill(const at::Tensor& on, const Fill& f, const Captured& captured) const = 0;
  virtual void fill(const at::Tensor& on, const PatternFill& f) const = 0;
  virtual void clear(const at::Tensor& on, const SparseFill& f, const Captured& captured) const = 0;

  // Makes Gaussian matrices orthogonal, in place, if there is a kernel for matrices of this size; says whether there is.
  virtual bool orthogonalize(const at::Tensor& on, const SmallMatrices& s) const = 0;

  // All of them together; they do not overlap.
  virtual void fill_many(const Batch& batch, const Captured& captured) const = 0;

 protected:
  ~Device() = default;  // devices are constants, never deleted through this
};

// Keys from torch's generator on the CPU, which serves every device.
void draw_from_cpu(const Generator& generator, size_t count, Key* keys);

}  // namespace fastinit
