// A tensor as the kernels see it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/accumulate.h>

#include "cpu/pattern.h"
#include "stream/fill.h"

namespace fastinit {

// Where a tensor lies in a global one: the whole of it unless both are given.
struct Placement {
  at::OptionalIntArrayRef global_shape;
  at::OptionalIntArrayRef global_offset;

  // Throws ValueError unless `self` fits.
  void check(const at::Tensor& self) const;
  at::IntArrayRef shape(const at::Tensor& self) const { return global_shape ? *global_shape : self.sizes(); }
  // Whether the global tensor has no elements.
  bool empty(const at::Tensor& self) const {
    return global_shape ? c10::multiply_integers(*global_shape) == 0 : self.numel() == 0;
  }
  int64_t offset(int64_t dim) const { return global_offset ? (*global_offset)[static_cast<size_t>(dim)] : 0; }
};

// Data, sizes and both kinds of strides; a complex tensor as its real view. Distribution and key are left to the
// caller.
void describe(Fill& f, const at::Tensor& self, DType dtype, const Placement& placement);

// The same for a fill with one repeated element.
PatternFill describe_pattern(const at::Tensor& self);

}  // namespace fastinit
