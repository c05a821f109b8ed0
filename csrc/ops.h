// The operators of fastinit, by their dispatcher signatures, and how a device takes them on.
#pragma once

#include <torch/library.h>

#include "device.h"

namespace fastinit {

using Ints = at::OptionalIntArrayRef;

using UniformOp = void(const at::Tensor&, double, double, Generator, Ints, Ints, Ints);
using NormalOp = UniformOp;
using TruncNormalOp = void(const at::Tensor&, double, double, double, double, Generator, Ints, Ints, Ints);
using SparseOp = UniformOp;
using ConstantOp = void(const at::Tensor&, const at::Scalar&);
using EyeOp = void(const at::Tensor&, Ints, Ints);
using OrthogonalOp = void(const at::Tensor&, double, int64_t, Ints, bool, Generator, Ints, Ints, Ints);
using DiracOp = void(const at::Tensor&, int64_t, Ints, Ints);
using FillManyOp = void(at::TensorList, at::IntArrayRef, at::ArrayRef<double>, Generator, Ints, std::optional<int64_t>,
                        Ints, Ints);

// The operators on a device.
void uniform(const Device&, const at::Tensor& self, double a, double b, Generator, Ints key, Ints global_shape,
             Ints global_offset);
void normal(const Device&, const at::Tensor& self, double mean, double std, Generator, Ints key, Ints global_shape,
            Ints global_offset);
void trunc_normal(const Device&, const at::Tensor& self, double mean, double std, double a, double b, Generator,
                  Ints key, Ints global_shape, Ints global_offset);
void sparse(const Device&, const at::Tensor& self, double sparsity, double std, Generator, Ints key, Ints global_shape,
            Ints global_offset);
void constant(const Device&, const at::Tensor& self, const at::Scalar& value);
void eye(const Device&, const at::Tensor& self, Ints global_shape, Ints global_offset);
void dirac(const Device&, const at::Tensor& self, int64_t groups, Ints global_shape, Ints global_offset);
// orthogonal.cpp. Matrices that the device has no kernel for rest on torch's products.
void orthogonal(const Device&, const at::Tensor& self, double gain, int64_t batch_dims, Ints split_sizes, bool special,
                Generator, Ints key, Ints global_shape, Ints global_offset);
// Fills of many tensors, each as by an operator above, in order. One law (laws.h) and its four parameters for all, or as
// many as there are tensors. Keys: two numbers a tensor; or, with `first`, one key, into which the tensors fold the
// numbers first, first + 1 and so on. Places: all tensors' numbers one after the other.
void fill_many(const Device&, at::TensorList self, at::IntArrayRef laws, at::ArrayRef<double> parameters, Generator,
               Ints keys, std::optional<int64_t> first, Ints global_shape, Ints global_offset);

// An operator with its device bound, as the dispatcher calls it.
template <const auto& device, auto op>
struct Bound;
template <const auto& device, class... Args, void (*op)(const Device&, Args...)>
struct Bound<device, op> {
  static void call(Args... args) { op(device, args...); }
};

// Registers all of them for one device.
template <const auto& device>
void implement(torch::Library& m) {
  m.impl("uniform_", &Bound<device, uniform>::call);
  m.impl("normal_", &Bound<device, normal>::call);
  m.impl("trunc_normal_", &Bound<device, trunc_normal>::call);
  m.impl("sparse_", &Bound<device, sparse>::call);
  m.impl("orthogonal_", &Bound<device, orthogonal>::call);
  m.impl("constant_", &Bound<device, constant>::call);
  m.impl("eye_", &Bound<device, eye>::call);
  m.impl("dirac_", &Bound<device, dirac>::call);
  m.impl("fill_many_", &Bound<device, fill_many>::call);
}

}  // namespace fastinit
