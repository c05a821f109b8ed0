#include "products.h"

#include <ATen/Context.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>

#include <climits>

// The reference BLAS interface, with 32-bit integers, as in every BLAS that torch is built with. Weak: torch finds its
// BLAS by name too, and a torch without one lacks these.
#define FASTINIT_GEMM(name, type)                                                                           \
  extern "C" __attribute__((weak)) void name(const char*, const char*, const int*, const int*, const int*,  \
                                             const type*, const type*, const int*, const type*, const int*, \
                                             const type*, type*, const int*);
FASTINIT_GEMM(sgemm_, float)
FASTINIT_GEMM(dgemm_, double)
FASTINIT_GEMM(cgemm_, c10::complex<float>)
FASTINIT_GEMM(zgemm_, c10::complex<double>)

namespace fastinit {
namespace {

// A matrix as BLAS takes it, column by column, or its transpose.
struct Operand {
  char transposed;
  int leading;
};

bool describe(const at::Tensor& x, Operand& o) {
  const int64_t rows = x.size(1), columns = x.size(2), down = x.stride(1), right = x.stride(2);
  // A single row or column is contiguous either way, and its other stride means nothing.
  if ((down == 1 || rows == 1) && (right >= rows || columns == 1)) {
    o = {'N', static_cast<int>(columns == 1 ? rows : right)};
  } else if ((right == 1 || columns == 1) && (down >= columns || rows == 1)) {
    o = {'T', static_cast<int>(rows == 1 ? columns : down)};
  } else {
    return false;
  }
  return std::max({rows, columns, down, right}) <= INT_MAX;
}

template <class T, class Gemm>
bool multiply_as(Gemm gemm, const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha, double beta) {
  Operand oa, ob, oc;
  if (gemm == nullptr || !describe(a, oa) || !describe(b, ob) || !describe(c, oc)) return false;
  const T scale(static_cast<T>(alpha)), keep(static_cast<T>(beta));
  const int m = static_cast<int>(c.size(1)), n = static_cast<int>(c.size(2)), k = static_cast<int>(a.size(2));
  const auto flip = [](char transposed) { return transposed == 'N' ? 'T' : 'N'; };
  const char ta = oc.transposed == 'N' ? oa.transposed : flip(oa.transposed);
  const char tb = oc.transposed == 'N' ? ob.transposed : flip(ob.transposed);
  for (int64_t i = 0; i < c.size(0); ++i) {
    const T* const pa = a.const_data_ptr<T>() + i * a.stride(0);
    const T* const pb = b.const_data_ptr<T>() + i * b.stride(0);
    T* const pc = c.mutable_data_ptr<T>() + i * c.stride(0);
    if (oc.transposed == 'N') {
      gemm(&ta, &tb, &m, &n, &k, &scale, pa, &oa.leading, pb, &ob.leading, &keep, pc, &oc.leading);
    } else {  // c^T = b^T a^T
      gemm(&tb, &ta, &n, &m, &k, &scale, pb, &ob.leading, pa, &oa.leading, &keep, pc, &oc.leading);
    }
  }
  return true;
}

bool multiply_by_blas(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha, double beta) {
  switch (c.scalar_type()) {
    case at::kFloat:
      return multiply_as<float>(&sgemm_, c, a, b, alpha, beta);
    case at::kDouble:
      return multiply_as<double>(&dgemm_, c, a, b, alpha, beta);
    case at::kComplexFloat:
      return multiply_as<c10::complex<float>>(&cgemm_, c, a, b, alpha, beta);
    case at::kComplexDouble:
      return multiply_as<c10::complex<double>>(&zgemm_, c, a, b, alpha, beta);
    default:
      return false;
  }
}

}  // namespace

void multiply(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha, double beta) {
  if (c.numel() == 0) return;
  if (c.is_cpu() && multiply_by_blas(c, a, b, alpha, beta)) return;
  const at::NoTF32Guard full;
  at::Tensor out = c;
  if (c.size(0) == 1) {
    out = c[0];
    at::addmm_out(out, out, a[0], b[0], beta, alpha);
  } else {
    at::baddbmm_out(out, out, a, b, beta, alpha);
  }
}

}  // namespace fastinit
