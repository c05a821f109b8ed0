// Matrix products in full precision, on any device, whatever precision the user has allowed torch to drop to.
#pragma once

#include <ATen/core/Tensor.h>

namespace fastinit {

// c = alpha a b + beta c for batches of matrices, [batch, m, n] each, of one dtype that is float32, float64, complex64 or
// complex128. c may be a view whose rows or columns are contiguous. Nothing of c is read where beta is 0.
//
// torch's own products obey `torch.set_float32_matmul_precision`, `torch.backends.*.fp32_precision` and autocast. These
// switches belong to the whole process: to turn one off for a while would turn it off for every other thread. On the
// CPU the products therefore go to the BLAS beneath torch's; on CUDA a guard of this thread keeps TF32 out.
void multiply(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha, double beta);

}  // namespace fastinit
