// A tensor as the kernels see it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/accumulate.h>

#include <vector>

#include "stream/fill.h"
#include "stream/pattern.h"

namespace fastinit {

// Where a tensor lies in a global one: the whole of it unless both are given.
struct Placement {
  at::OptionalIntArrayRef global_shape;
  at::OptionalIntArrayRef global_offset;

  // Throws ValueError unless `self` fits, RuntimeError if it has too many dimensions to describe.
  void check(const at::Tensor& self) const;
  at::IntArrayRef shape(const at::Tensor& self) const { return global_shape ? *global_shape : self.sizes(); }
  // Whether the global tensor has no elements.
  bool empty(const at::Tensor& self) const {
    return global_shape ? c10::multiply_integers(*global_shape) == 0 : self.numel() == 0;
  }
  int64_t offset(int64_t dim) const { return global_offset ? (*global_offset)[static_cast<size_t>(dim)] : 0; }
};

// Data, sizes and both kinds of strides; a complex tensor as its real view. Distribution and key are left to the
// caller, and so is `placement.check`.
void describe(Fill& f, const at::Tensor& self, DType dtype, const Placement& placement);

// The same for a fill with one value; throws RuntimeError where the type cannot hold it.
PatternFill repeated(const at::Tensor& self, const at::Scalar& value);

// Some elements of a tensor: a grid of them, `offset` elements from its first.
struct Places {
  int64_t offset;
  int64_t size[2], stride[2];
};

// Those of a matrix whose row is their column.
std::vector<Places> diagonal(const at::Tensor& self, const Placement& placement);

// Those of a convolution's weight that pass an input channel on: the kernel's centre at (output c of a group, input c).
std::vector<Places> centres(const at::Tensor& self, const Placement& placement, int64_t groups);

// The tensors that reach into memory that another of them reaches into, in rising order. (Interleaved ones count.)
std::vector<size_t> overlapping(at::TensorList tensors);

// The placements of many tensors, their shapes and offsets one after the other.
class PlacementList {
 public:
  PlacementList(at::TensorList tensors, at::OptionalIntArrayRef shapes, at::OptionalIntArrayRef offsets);
  Placement operator[](size_t i) const;

 private:
  at::OptionalIntArrayRef shapes_, offsets_;
  std::vector<size_t> starts_;  // of each tensor's numbers, and the end
};

}  // namespace fastinit
