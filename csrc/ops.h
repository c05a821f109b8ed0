// The functions behind torch.ops.fastinit, by their dispatcher signatures; bindings.cpp calls them by name.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <optional>

namespace fastinit {

using Generator = std::optional<at::Generator>;
using Ints = at::OptionalIntArrayRef;

using UniformOp = void(const at::Tensor&, double, double, Generator, Ints, Ints, Ints);
using NormalOp = UniformOp;
using TruncNormalOp = void(const at::Tensor&, double, double, double, double, Generator, Ints, Ints, Ints);
using SparseOp = UniformOp;
using ConstantOp = void(const at::Tensor&, const at::Scalar&);
using EyeOp = void(const at::Tensor&, Ints, Ints);
using DiracOp = void(const at::Tensor&, int64_t, Ints, Ints);

}  // namespace fastinit
