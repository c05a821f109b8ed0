// Many small Gaussian matrices to orthogonal ones in one launch: docs/stream.md, section 4.9, in shared memory.
//
// A thread block holds one matrix or several, and works on all of them in step. Q = H_0 H_1 ... D comes out in place, from
// the last reflector back: the product of those after H_k is still the identity in columns 0 to k, so H_k meets only the
// columns right of k, and column k, which holds the reflector, becomes H_k's own. A thread has a column and a segment of
// its rows. Sums run along a segment in order, then over segments: the same matrices whatever the grid, and whatever
// else is in the launch.
#include "fill.h"
#include "launch.h"

namespace fastinit::cuda {
namespace {

// A number of one part is real, of two complex. Every operation is rounded by itself, but those that are one fma.
template <class T>
FASTINIT_HD T fused(T a, T b, T c) {
  if constexpr (sizeof(T) == 4) {
    return ::fmaf(a, b, c);
  } else {
    return ::fma(a, b, c);
  }
}

template <class T>
FASTINIT_HD T root(T x) {
  if constexpr (sizeof(T) == 4) {
    return ::sqrtf(x);
  } else {
    return ::sqrt(x);
  }
}

template <class T>
struct Real {
  using Part = T;
  T re;

  FASTINIT_HD T square() const { return re * re; }
  FASTINIT_HD T size() const { return re < 0 ? -re : re; }
  FASTINIT_HD Real phase(T) const { return {re < 0 ? T(-1) : T(1)}; }
  FASTINIT_HD Real conjugate() const { return *this; }
  FASTINIT_HD Real times(T x) const { return {re * x}; }
  FASTINIT_HD Real plus(Real a) const { return {re + a.re}; }
  // this + a b
  FASTINIT_HD Real plus(Real a, Real b) const { return {fused(a.re, b.re, re)}; }
};

template <class T>
struct Complex {
  using Part = T;
  T re, im;

  FASTINIT_HD T square() const { return fused(re, re, im * im); }
  FASTINIT_HD T size() const { return root(square()); }
  FASTINIT_HD Complex phase(T size) const { return size > 0 ? Complex{re / size, im / size} : Complex{1, 0}; }
  FASTINIT_HD Complex conjugate() const { return {re, -im}; }
  FASTINIT_HD Complex times(T x) const { return {re * x, im * x}; }
  FASTINIT_HD Complex plus(Complex a) const { return {re + a.re, im + a.im}; }
  FASTINIT_HD Complex plus(Complex a, Complex b) const {
    return {fused(-a.im, b.im, fused(a.re, b.re, re)), fused(a.im, b.re, fused(a.re, b.im, im))};
  }
};

// How a block's threads are shared out: `matrices` at a time, each with `segments` times `lanes` threads, one lane a
// column (the lanes beyond the last column have nothing to do).
struct Shape {
  int rows, columns;  // of the tall matrix
  int lanes, segments, matrices;
};

constexpr int kBytes = 32 << 10;  // of matrices in a block's shared memory
constexpr int kSide = 64;
constexpr int kSegmentRows = 16;  // a segment is worth a thread from here on

int item_size(const SmallMatrices& s) { return (s.complex ? 2 : 1) * (s.wide ? 8 : 4); }

Shape shape_of(const SmallMatrices& s) {
  Shape shape{static_cast<int>(s.longer()), static_cast<int>(s.shorter()), 1, 1, 1};
  while (shape.lanes < shape.columns) shape.lanes *= 2;
  while (shape.segments * kSegmentRows < shape.rows && shape.segments * shape.lanes < kThreads) shape.segments *= 2;
  const int by_threads = kThreads / (shape.lanes * shape.segments);
  shape.matrices = std::min(by_threads, kBytes / (item_size(s) * shape.rows * shape.columns));
  return shape;
}

struct OrthogonalParams {
  SmallMatrices matrices;
  Shape shape;
};

template <class N>
__global__ void __launch_bounds__(kThreads) orthogonalize_each(const OrthogonalParams __grid_constant__ p) {
  using T = typename N::Part;
  __shared__ N memory[kBytes / sizeof(N)];
  __shared__ N partial[kThreads];  // of a sum, by segments
  __shared__ N heads[kThreads];    // of the reflectors, in place of those of the Gaussian's columns
  __shared__ N phases[kThreads];   // of D
  __shared__ T taus[kThreads];     // H = 1 - tau v v*

  const SmallMatrices& s = p.matrices;
  const int m = p.shape.rows, n = p.shape.columns, lanes = p.shape.lanes, segments = p.shape.segments;
  const int thread = static_cast<int>(threadIdx.x), group = lanes * segments;
  const int place = thread / group;  // of the matrix in the block
  const int segment = thread % group / lanes, j = thread % lanes;
  const int length = (m + segments - 1) / segments;
  const int begin = segment * length, end = least(begin + length, m);
  N* const q = memory + place * m * n;  // row by row; not to be touched if the block has no such matrix
  const int first_partial = place * group + j, column = place * lanes;
  const T gain = static_cast<T>(s.gain);
  const bool tall = s.rows >= s.columns;

  for (int64_t first = static_cast<int64_t>(blockIdx.x) * p.shape.matrices; first < s.count;
       first += static_cast<int64_t>(gridDim.x) * p.shape.matrices) {
    const int64_t left = s.count - first;
    const int present = left < p.shape.matrices ? static_cast<int>(left) : p.shape.matrices;
    const bool active = place < present && j < n;
    T* const data = static_cast<T*>(s.data) + first * s.stride;

    // Calls f(number in shared memory, numbers in the tensor) for every number, always by the same thread; neighbours in
    // the tensor by neighbours.
    const auto each = [&](auto&& f) {
      for (int e = thread; e < present * m * n; e += kThreads) {
        const int matrix = e / (m * n), at = e % (m * n);
        const int here = tall ? at : at % m * n + at / m;
        f(memory[matrix * m * n + here], data + matrix * s.stride + static_cast<int64_t>(at) * (sizeof(N) / sizeof(T)));
      }
    };
    // The sum over segments of what was left in `partial`.
    const auto total = [&] {
      N sum = partial[first_partial];
      for (int c = 1; c < segments; ++c) sum = sum.plus(partial[first_partial + c * lanes]);
      return sum;
    };

    each([](N& number, const T* from) {
      number.re = from[0];
      if constexpr (sizeof(N) > sizeof(T)) number.im = from[1];
    });
    __syncthreads();

    T square = 0;
    if (active) {
      for (int i = begin > j ? begin : j; i < end; ++i) square = square + q[i * n + j].square();
    }
    partial[thread] = N{square};
    __syncthreads();
    if (active && segment == 0) {
      T norm = root(total().re);
      norm = norm == 0 ? T(1) : norm;
      const N x = q[j * n + j];
      const T size = x.size();
      const N phase = x.phase(size);
      taus[column + j] = 1 / (norm * (norm + size));
      heads[column + j] = phase.times(norm + size);
      phases[column + j] = phase;
    }
    __syncthreads();
    if (s.special && active && segment == 0 && j == n - 1) {  // the determinant is the product of the phases
      N det = phases[column];
      for (int k = 1; k < n; ++k) det = N{0}.plus(det, phases[column + k]);
      phases[column + j] = N{0}.plus(phases[column + j], det.conjugate());
    }

    for (int k = n - 1; k >= 0; --k) {
      const int below = begin > k + 1 ? begin : k + 1;
      if (active && j > k) {
        N sum{0};
        for (int i = below; i < end; ++i) sum = sum.plus(q[i * n + k].conjugate(), q[i * n + j]);
        partial[thread] = sum;
      }
      __syncthreads();
      if (active && j > k) {
        const N w = total().times(-taus[column + k]);
        for (int i = below; i < end; ++i) q[i * n + j] = q[i * n + j].plus(q[i * n + k], w);
        if (begin <= k && k < end) q[k * n + j] = N{0}.plus(heads[column + k], w);
      }
      __syncthreads();
      // H_k e_0 d_k. Before the next barrier only this thread reads its rows of column k.
      if (active && j == k) {
        const N d = phases[column + k].times(-gain);
        const N w = N{0}.plus(heads[column + k].conjugate().times(-taus[column + k]), d);
        for (int i = below; i < end; ++i) q[i * n + k] = N{0}.plus(q[i * n + k], w);
        if (begin <= k && k < end) q[k * n + k] = d.plus(heads[column + k], w);
      }
    }
    __syncthreads();
    each([](const N& number, T* to) {
      to[0] = number.re;
      if constexpr (sizeof(N) > sizeof(T)) to[1] = number.im;
    });
  }
}

template <class N>
void start(const OrthogonalParams& p, cudaStream_t stream) {
  const int64_t blocks = (p.matrices.count + p.shape.matrices - 1) / p.shape.matrices;
  launch(orthogonalize_each<N>, std::min<int64_t>(blocks, processors() * 8), stream, p);
}

}  // namespace

bool is_small(const SmallMatrices& s) { return s.shorter() <= kSide && s.rows * s.columns <= kBytes / item_size(s); }

void orthogonalize(const SmallMatrices& s, cudaStream_t stream) {
  if (s.count == 0) return;
  const OrthogonalParams p{s, shape_of(s)};
  if (s.complex) {
    s.wide ? start<Complex<double>>(p, stream) : start<Complex<float>>(p, stream);
  } else {
    s.wide ? start<Real<double>>(p, stream) : start<Real<float>>(p, stream);
  }
}

}  // namespace fastinit::cuda
