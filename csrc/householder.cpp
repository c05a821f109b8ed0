// Nothing is factorised. When a QR factorisation of a Gaussian matrix comes to its k-th column, what it finds from row k
// on is Gaussian and independent of all before (Stewart 1980, doi:10.1137/0717034). So are the original numbers there:
// they give the reflector H_k at once, and what is left of the work is the product H_0 H_1 ... D, half of geqrf + orgqr.
//
// It is made from the right, a block of b reflectors at a time. With their vectors as the columns of V,
//     H_k ... H_(k+b-1) = I - V T V^H,    T^-1 = the upper triangle of V^H V with its diagonal halved
// (the UT transform: Puglisi 1992, doi:10.1137/0913042; Joffrain et al. 2006, doi:10.1145/1141885.1141886). Whatever
// was rounded in V, this T makes the block orthogonal to the rounding of V^H V. Q grows in the place of the columns
// whose reflectors have been used.
#include "householder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/prod.h>
#include <ATen/ops/square.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/where.h>

#include "products.h"

namespace fastinit {
namespace {

// Wider blocks make products larger, and T, whose work is lost, too (measured: DEVNOTES.md).
int64_t block_size(int64_t columns) { return columns < 3072 ? 192 : 256; }

at::Tensor part(const at::Tensor& x, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  return x.narrow(1, row, rows).narrow(2, column, columns);
}

at::Tensor adjoint_of(const at::Tensor& x) { return x.mH().resolve_conj(); }

// x / |x|, and 1 for 0.
at::Tensor phase_of(const at::Tensor& x) {
  const at::Tensor size = at::abs(x);
  return at::where(size == 0, at::ones_like(x), x / size);
}

struct Block {
  at::Tensor v;        // [batch, m - k, b]: the reflectors' vectors, zero above their heads
  at::Tensor squares;  // [batch, b]: v^H v
};

// v^H v of every column, summed in float64, a few columns at a time for the sake of memory.
at::Tensor squares_of(const at::Tensor& v) {
  constexpr int64_t kColumns = 64;
  const at::Tensor real = v.is_complex() ? at::view_as_real(v) : v.unsqueeze(-1);
  at::Tensor squares = at::empty({v.size(0), v.size(2)}, v.options().dtype(at::kDouble));
  for (int64_t k = 0; k < v.size(2); k += kColumns) {
    const int64_t count = std::min(kColumns, v.size(2) - k);
    const at::Tensor wide = real.narrow(2, k, count).to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
    at::Tensor sums = squares.narrow(1, k, count);
    at::sum_out(sums, wide.square_(), at::IntArrayRef{1, 3});
  }
  return squares;
}

// The reflectors of b columns from (k, k) on: v = x + phase |x| e_1. A relative error e in v^H v moves a column of Q by e,
// and would be the largest of all errors if it were that of a long sum in float32.
Block reflectors(const at::Tensor& a, int64_t k, int64_t b, const at::Tensor& phase) {
  const at::Tensor v = at::empty({a.size(0), a.size(1) - k, b}, a.options());
  v.copy_(part(a, k, a.size(1) - k, k, b));
  v.narrow(1, 0, b).tril_();
  const at::Tensor square = squares_of(v);

  const at::Tensor head = v.diagonal(0, 1, 2);
  const at::Tensor size = at::abs(head).to(at::kDouble);
  at::Tensor norm = square.sqrt();
  norm = at::where(norm == 0, at::ones_like(norm), norm);  // a Gaussian number that is 0, alone in its column
  head.copy_(phase * (size + norm));
  const at::Tensor rounded = at::abs(head).to(at::kDouble);
  return {v, square - at::square(size) + at::square(rounded)};
}

// a[k:, k:] = (I - V T V^H) diag(d, a[k+b:, k+b:]), where V is made of the columns that d takes the place of.
void apply_block(const at::Tensor& a, int64_t k, int64_t b, const at::Tensor& phase, const at::Tensor& d) {
  const int64_t m = a.size(1), n = a.size(2), below = m - k - b, right = n - k - b;
  const auto [v, squares] = reflectors(a, k, b, phase);
  const at::Tensor v_adjoint = adjoint_of(v);
  const at::Tensor v1 = v.narrow(1, 0, b), v2 = v.narrow(1, b, below);

  const at::Tensor inverse = at::empty({a.size(0), b, b}, a.options());
  multiply(inverse, v_adjoint, v, 1, 0);
  inverse.triu_().diagonal(0, 1, 2).copy_(squares * 0.5);

  at::Tensor y = at::empty({a.size(0), n - k, b}, a.options()).mT();
  y.narrow(2, 0, b).copy_(v_adjoint.narrow(2, 0, b) * d.unsqueeze(1));
  multiply(y.narrow(2, b, right), v_adjoint.narrow(2, b, below), part(a, k + b, below, k + b, right), 1, 0);
  y = at::linalg_solve_triangular(inverse, y, /*upper=*/true);

  const at::Tensor y1 = y.narrow(2, 0, b), y2 = y.narrow(2, b, right);
  multiply(part(a, k, m - k, k, b), v, y1, -1, 0);
  part(a, k, b, k, b).diagonal(0, 1, 2).add_(d);
  multiply(part(a, k, b, k + b, right), v1, y2, -1, 0);
  multiply(part(a, k + b, below, k + b, right), v2, y2, -1, 1);
}

}  // namespace

void orthogonalize_(const at::Tensor& a, double gain, bool special) {
  const int64_t n = a.size(2);
  const at::Tensor phase = phase_of(a.diagonal(0, 1, 2));
  const at::Tensor d = phase * -gain;
  // Of n reflectors and D, the determinant is the product of the phases.
  if (special) d.select(1, n - 1).mul_(at::prod(phase, 1).conj());
  const int64_t size = block_size(n);
  for (int64_t k = (n - 1) / size * size; k >= 0; k -= size) {
    const int64_t b = std::min(size, n - k);
    apply_block(a, k, b, phase.narrow(1, k, b), d.narrow(1, k, b));
  }
}

}  // namespace fastinit
