// Several vectors side by side as one lane type.
//
// A Philox block, and each transform, is one long dependency chain. A few of them in lock step give the processor
// independent work within its scheduling window; the results are the same.
#pragma once

#include "simd.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

// How many chains of Philox, and of a transform, run in lock step: measured (DEVNOTES.md), and bounded by the
// registers.
#if FASTINIT_V4
constexpr int kChains = 4, kTransforms = 4;
#elif FASTINIT_SSE2
constexpr int kChains = 2, kTransforms = 1;
#else
constexpr int kChains = 4, kTransforms = 2;
#endif

template <class V, int N>
struct Many {
  V v[N];

  // The k-th run of M vectors.
  template <int M>
  FASTINIT_INLINE Many<V, M> part(int k) const {
    Many<V, M> out;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) out.v[i] = v[k * M + i];
    return out;
  }
};

// out.v[i] = f(i) for every i.
template <class V, int N, class F>
FASTINIT_INLINE Many<V, N> each(const F& f) {
  Many<V, N> out;
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) out.v[i] = f(i);
  return out;
}

#define FASTINIT_MANY_OPERATOR(op)                                                   \
  template <class V, int N>                                                          \
  FASTINIT_INLINE Many<V, N> operator op(const Many<V, N>& x, const Many<V, N>& y) { \
    return each<V, N>([&](int i) { return x.v[i] op y.v[i]; });                      \
  }
FASTINIT_MANY_OPERATOR(+)
FASTINIT_MANY_OPERATOR(-)
FASTINIT_MANY_OPERATOR(*)
FASTINIT_MANY_OPERATOR(/)
FASTINIT_MANY_OPERATOR(&)
FASTINIT_MANY_OPERATOR(|)
FASTINIT_MANY_OPERATOR(^)
#undef FASTINIT_MANY_OPERATOR
template <class V, int N>
FASTINIT_INLINE Many<V, N> operator<<(const Many<V, N>& x, int n) {
  return each<V, N>([&](int i) { return x.v[i] << n; });
}
template <class V, int N>
FASTINIT_INLINE Many<V, N> operator>>(const Many<V, N>& x, int n) {
  return each<V, N>([&](int i) { return x.v[i] >> n; });
}
template <class V, int N>
FASTINIT_INLINE Many<V, N> operator-(const Many<V, N>& x) {
  return each<V, N>([&](int i) { return -x.v[i]; });
}
template <class V, int N>
FASTINIT_INLINE Many<V, N> operator~(const Many<V, N>& x) {
  return each<V, N>([&](int i) { return ~x.v[i]; });
}

template <class L, int N>
struct ManyLanes {
  using T = typename L::T;
  using F = Many<typename L::F, N>;
  using U = Many<typename L::U, N>;
  using I = Many<typename L::I, N>;
  using M = Many<typename L::M, N>;

  static FASTINIT_INLINE F splat(T x) {
    return floats([&](int) { return L::splat(x); });
  }
  template <class W>
  static FASTINIT_INLINE U splat_u(W x) {
    return each<typename L::U, N>([&](int) { return L::splat_u(x); });
  }
  static FASTINIT_INLINE F from_signed(const I& x) {
    return floats([&](int i) { return L::from_signed(x.v[i]); });
  }
  static FASTINIT_INLINE F from_signed_small(const I& x) {
    return floats([&](int i) { return L::from_signed_small(x.v[i]); });
  }
  static FASTINIT_INLINE F from_unsigned(const U& x) {
    return floats([&](int i) { return L::from_unsigned(x.v[i]); });
  }
  static FASTINIT_INLINE U bits(const F& x) {
    return each<typename L::U, N>([&](int i) { return L::bits(x.v[i]); });
  }
  static FASTINIT_INLINE F from_bits(const U& x) {
    return floats([&](int i) { return L::from_bits(x.v[i]); });
  }
  static FASTINIT_INLINE I as_signed(const U& x) {
    return each<typename L::I, N>([&](int i) { return L::as_signed(x.v[i]); });
  }
  static FASTINIT_INLINE U as_unsigned(const I& x) {
    return each<typename L::U, N>([&](int i) { return L::as_unsigned(x.v[i]); });
  }
  static FASTINIT_INLINE F fma(const F& x, const F& y, const F& z) {
    return floats([&](int i) { return L::fma(x.v[i], y.v[i], z.v[i]); });
  }
  static FASTINIT_INLINE F sqrt(const F& x) {
    return floats([&](int i) { return L::sqrt(x.v[i]); });
  }
  static FASTINIT_INLINE F min(const F& x, const F& y) {
    return floats([&](int i) { return L::min(x.v[i], y.v[i]); });
  }
  static FASTINIT_INLINE F max(const F& x, const F& y) {
    return floats([&](int i) { return L::max(x.v[i], y.v[i]); });
  }
  static FASTINIT_INLINE M less(const F& x, const F& y) {
    return each<typename L::M, N>([&](int i) { return L::less(x.v[i], y.v[i]); });
  }
  static FASTINIT_INLINE M nonzero(const U& x) {
    return each<typename L::M, N>([&](int i) { return L::nonzero(x.v[i]); });
  }
  static FASTINIT_INLINE F select(const M& m, const F& x, const F& y) {
    return floats([&](int i) { return L::select(m.v[i], x.v[i], y.v[i]); });
  }
  static FASTINIT_INLINE bool any(const M& m) {
    bool found = false;
    for (int i = 0; i < N; ++i) found = found || L::any(m.v[i]);
    return found;
  }

 private:
  template <class Function>
  static FASTINIT_INLINE F floats(const Function& f) {
    return each<typename L::F, N>(f);
  }
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
