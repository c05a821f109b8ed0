// What a tensor can be filled with by one description: a law and its parameters, checked as torch checks them.
#pragma once

#include <ATen/core/Tensor.h>

#include "stream/fill.h"

namespace fastinit {

// The numbers are those of the operator fill_many_.
enum class LawKind : int64_t { Uniform = 0, Normal = 1, TruncNormal = 2, Constant = 3 };

struct Law {
  LawKind kind;
  double p[4];  // uniform: a, b; normal: mean, std; truncated normal: mean, std, a, b; constant: the value
};

void check_std(double std);

// The type that random values end in; throws NotImplementedError for what cannot be filled at random.
DType random_dtype(const at::Tensor& self, const char* name);

// Throws what torch throws for these parameters and this tensor; the law is not constant.
DType check_law(const at::Tensor& self, const Law& law);

// The constants of a law that has been checked.
Distribution plan_law(const at::Tensor& self, const Law& law, DType dtype);

}  // namespace fastinit
