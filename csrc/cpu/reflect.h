// Gaussian matrices to orthogonal ones, a small one at a time: docs/stream.md, section 4.9, in cache and in registers.
//
// Column k of the Gaussian, from row k on, gives a Householder reflector H_k; Q = H_0 H_1 ... D. The product is made
// from the right, a panel of columns at a time: in one pass over the panel's rows H_k is applied and the inner products
// that H_(k-1) needs are summed, so each element is loaded once a reflector. Lanes are columns, and sums run over rows in
// order: the bits are those of every instruction set that has an fma, and of any number of threads. (The x86-64 baseline has
// none, and its emulation would be slower than LAPACK; it rounds products and sums separately.)
#pragma once

#include "simd.h"
#include "small.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

template <class L>
FASTINIT_INLINE typename L::F multiply_add(typename L::F a, typename L::F b, typename L::F c) {
#if FASTINIT_V4 || FASTINIT_V3 || FASTINIT_NEON
  return L::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Numbers that are real (Parts = 1) or complex (2): one array for each part. Panels are `vectors` wide: enough to hide
// the latency of a sum behind others, no wider than the matrix.
template <class L, int Parts, int vectors>
struct Reflectors {
  using T = typename L::T;
  using F = typename L::F;
  static constexpr int lanes = kBytes / static_cast<int>(sizeof(T));
  static constexpr int width = vectors * lanes;
  static constexpr int partials = 16;  // of a norm, whatever the vector width
  static_assert(width <= kSmallPanel, "small_scratch_bytes counts on it");

  struct Row {
    F v[Parts][vectors];
  };

  int64_t m, n, padded;  // rows (not fewer than n), columns; rows rounded up to whole partial sums
  T* v[Parts];           // reflector k is v[.][k * padded + i], zero where i < k or i >= m
  T* q[Parts];           // the panel, row by row
  T tau[kSmallSide];     // H = I - tau v v^H
  T d[Parts][kSmallSide];

  Reflectors(const SmallMatrices& s, T* scratch)
      : m(s.longer()), n(s.shorter()), padded((m + partials - 1) / partials * partials) {
    for (int p = 0; p < Parts; ++p) {
      v[p] = scratch + p * n * padded;
      q[p] = scratch + Parts * n * padded + p * m * width;
    }
  }

  // Element (i, k) of the tall matrix lies at g[(i * down + k * right) * Parts].
  void gather(const T* g, int64_t down, int64_t right) {
    for (int p = 0; p < Parts; ++p) {
      T* const to = v[p];
      std::memset(to, 0, static_cast<size_t>(n * padded) * sizeof(T));
      if (right == 1) {
        constexpr int64_t tile = 16;  // rows to a cache line of every reflector
        for (int64_t top = 0; top < m; top += tile) {
          const int64_t bottom = top + tile < m ? top + tile : m;
          for (int64_t k = 0; k < n && k < bottom; ++k) {
            for (int64_t i = top > k ? top : k; i < bottom; ++i) to[k * padded + i] = g[(i * down + k) * Parts + p];
          }
        }
      } else {
        for (int64_t k = 0; k < n; ++k) {
          for (int64_t i = k; i < m; ++i) to[k * padded + i] = g[(i + k * right) * Parts + p];
        }
      }
    }
  }

  // The sum of squares of reflector k, in 16 partial sums over rows that are equal modulo 16.
  T square(int64_t k) const {
    constexpr int count = partials / lanes;
    T sums[partials];
    F partial[count] = {};
    for (int64_t i = k / partials * partials; i < padded; i += partials) {
      for (int p = 0; p < Parts; ++p) {
        for (int c = 0; c < count; ++c) {
          const F x = load<F>(v[p] + k * padded + i + c * lanes);
          partial[c] = partial[c] + x * x;
        }
      }
    }
    for (int c = 0; c < count; ++c) store(sums + c * lanes, partial[c]);
    T sum = sums[0];
    for (int i = 1; i < partials; ++i) sum += sums[i];
    return sum;
  }

  // v = x + phase |x| e_1 with phase = x_1 / |x_1|; H x = -phase |x| e_1, which D turns into |x| e_1.
  void prepare(T gain, bool special) {
    T det[2] = {1, 0};  // of Q: the product of the phases
    for (int64_t k = 0; k < n; ++k) {
      T* head[Parts];
      for (int p = 0; p < Parts; ++p) head[p] = v[p] + k * padded + k;
      T norm = std::sqrt(square(k));
      norm = norm == 0 ? T(1) : norm;
      T phase[2] = {1, 0}, size;
      if constexpr (Parts == 1) {
        size = head[0][0] < 0 ? -head[0][0] : head[0][0];
        phase[0] = head[0][0] < 0 ? T(-1) : T(1);
      } else {
        size = std::sqrt(head[0][0] * head[0][0] + head[1][0] * head[1][0]);
        if (size > 0) {
          phase[0] = head[0][0] / size;
          phase[1] = head[1][0] / size;
        }
      }
      tau[k] = 1 / (norm * (norm + size));
      for (int p = 0; p < Parts; ++p) {
        head[p][0] = phase[p] * (norm + size);
        d[p][k] = -phase[p] * gain;
      }
      const T re = det[0] * phase[0] - det[1] * phase[1];
      det[1] = det[0] * phase[1] + det[1] * phase[0];
      det[0] = re;
    }
    if (!special) return;
    const T re = d[0][n - 1], im = Parts == 2 ? d[Parts - 1][n - 1] : T(0);
    d[0][n - 1] = re * det[0] + im * det[1];
    if constexpr (Parts == 2) d[1][n - 1] = im * det[0] - re * det[1];
  }

  FASTINIT_INLINE Row row(int64_t i) const {
    Row r;
    for (int p = 0; p < Parts; ++p) {
      for (int c = 0; c < vectors; ++c) r.v[p][c] = load<F>(q[p] + i * width + c * lanes);
    }
    return r;
  }

  static FASTINIT_INLINE F add(F sum, F a, F b) { return multiply_add<L>(a, b, sum); }

  // sum += conj(v) * r for the number v at `at`.
  FASTINIT_INLINE void add_product(Row& sum, int64_t at, const Row& r) const {
    const F re = L::splat(v[0][at]);
    for (int c = 0; c < vectors; ++c) sum.v[0][c] = add(sum.v[0][c], re, r.v[0][c]);
    if constexpr (Parts == 2) {
      const F im = L::splat(v[1][at]);
      for (int c = 0; c < vectors; ++c) {
        sum.v[0][c] = add(sum.v[0][c], im, r.v[1][c]);
        sum.v[1][c] = add(add(sum.v[1][c], re, r.v[1][c]), -im, r.v[0][c]);
      }
    }
  }

  // r += v * w for the number v at `at`.
  FASTINIT_INLINE void add_multiple(Row& r, int64_t at, const Row& w) const {
    const F re = L::splat(v[0][at]);
    for (int c = 0; c < vectors; ++c) r.v[0][c] = add(r.v[0][c], re, w.v[0][c]);
    if constexpr (Parts == 2) {
      const F im = L::splat(v[1][at]);
      for (int c = 0; c < vectors; ++c) {
        r.v[0][c] = add(r.v[0][c], -im, w.v[1][c]);
        r.v[1][c] = add(add(r.v[1][c], re, w.v[1][c]), im, w.v[0][c]);
      }
    }
  }

  // Applies H_k to the panel; `w` is v_k^H times the panel before, and v_(k-1)^H times it after.
  template <bool First>
  FASTINIT_INLINE void apply(int64_t k, Row& w) {
    Row next{};
    const int64_t before = (k - 1) * padded;
    if constexpr (!First) add_product(next, before + k - 1, row(k - 1));
    const F t = L::splat(-tau[k]);
    for (int p = 0; p < Parts; ++p) {
      for (int c = 0; c < vectors; ++c) w.v[p][c] = w.v[p][c] * t;
    }
    for (int64_t i = k; i < m; ++i) {
      Row r = row(i);
      add_multiple(r, k * padded + i, w);
      for (int p = 0; p < Parts; ++p) {
        for (int c = 0; c < vectors; ++c) store(q[p] + i * width + c * lanes, r.v[p][c]);
      }
      if constexpr (!First) add_product(next, before + i, r);
    }
    w = next;
  }

  // Columns [first, first + width) of Q, those of them that exist.
  void panel(int64_t first, T* out, int64_t down, int64_t right) {
    const int64_t end = first + width < n ? first + width : n;
    for (int p = 0; p < Parts; ++p) {
      std::memset(q[p], 0, static_cast<size_t>(m * width) * sizeof(T));
      for (int64_t j = first; j < end; ++j) q[p][j * width + j - first] = d[p][j];
    }
    // Reflectors past the panel's last column meet zeros only; of the last, so do all rows but its own.
    Row w{};
    add_product(w, (end - 1) * padded + end - 1, row(end - 1));
    for (int64_t k = end - 1; k > 0; --k) apply<false>(k, w);
    apply<true>(0, w);
    if (right == 1) {
      for (int64_t i = 0; i < m; ++i) copy(out + (i * down + first) * Parts, i * width, 1, end - first);
    } else {
      for (int64_t j = first; j < end; ++j) copy(out + j * right * Parts, j - first, width, m);
    }
  }

  // Numbers at, at + step, ... of the panel to consecutive memory.
  void copy(T* out, int64_t at, int64_t step, int64_t count) const {
    for (int p = 0; p < Parts; ++p) {
      for (int64_t c = 0; c < count; ++c) out[c * Parts + p] = q[p][at + c * step];
    }
  }
};

template <class L, int Parts, int vectors>
void orthogonalize_as(const SmallMatrices& s, int64_t begin, int64_t end, void* scratch) {
  using T = typename L::T;
  Reflectors<L, Parts, vectors> reflectors(s, static_cast<T*>(scratch));
  const int64_t down = s.rows >= s.columns ? s.columns : 1, right = s.rows >= s.columns ? 1 : s.columns;
  for (int64_t number = begin; number < end; ++number) {
    T* const matrix = static_cast<T*>(s.data) + number * s.stride;
    reflectors.gather(matrix, down, right);
    reflectors.prepare(static_cast<T>(s.gain), s.special);
    for (int64_t first = 0; first < reflectors.n; first += reflectors.width) {
      reflectors.panel(first, matrix, down, right);
    }
  }
}

template <class L>
void orthogonalize_in(const SmallMatrices& s, int64_t begin, int64_t end, void* scratch) {
  constexpr int lanes = kBytes / static_cast<int>(sizeof(typename L::T));
  if (s.complex) {
    return s.shorter() <= lanes ? orthogonalize_as<L, 2, 1>(s, begin, end, scratch)
                                : orthogonalize_as<L, 2, 2>(s, begin, end, scratch);
  }
  return s.shorter() <= lanes       ? orthogonalize_as<L, 1, 1>(s, begin, end, scratch)
         : s.shorter() <= 2 * lanes ? orthogonalize_as<L, 1, 2>(s, begin, end, scratch)
                                    : orthogonalize_as<L, 1, 4>(s, begin, end, scratch);
}

// Matrices [begin, end), in place; `scratch` has small_scratch_bytes(s) bytes.
inline void orthogonalize(const SmallMatrices& s, int64_t begin, int64_t end, void* scratch) {
  s.wide ? orthogonalize_in<Lane64>(s, begin, end, scratch) : orthogonalize_in<Lane32>(s, begin, end, scratch);
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
