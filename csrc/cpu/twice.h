// Two vectors side by side as one lane type.
//
// A Philox block, and each transform, is one long dependency chain. Two of them in lock step give the processor
// independent work within its scheduling window; the results are the same.
#pragma once

#include "simd.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

template <class V>
struct Pair {
  V a, b;
};

#define FASTINIT_PAIR_OPERATOR(op)                                          \
  template <class V>                                                        \
  FASTINIT_INLINE Pair<V> operator op(const Pair<V>& x, const Pair<V>& y) { \
    return {x.a op y.a, x.b op y.b};                                        \
  }
FASTINIT_PAIR_OPERATOR(+)
FASTINIT_PAIR_OPERATOR(-)
FASTINIT_PAIR_OPERATOR(*)
FASTINIT_PAIR_OPERATOR(/)
FASTINIT_PAIR_OPERATOR(&)
FASTINIT_PAIR_OPERATOR(|)
FASTINIT_PAIR_OPERATOR(^)
#undef FASTINIT_PAIR_OPERATOR
template <class V>
FASTINIT_INLINE Pair<V> operator<<(const Pair<V>& x, int n) {
  return {x.a << n, x.b << n};
}
template <class V>
FASTINIT_INLINE Pair<V> operator>>(const Pair<V>& x, int n) {
  return {x.a >> n, x.b >> n};
}
template <class V>
FASTINIT_INLINE Pair<V> operator-(const Pair<V>& x) {
  return {-x.a, -x.b};
}
template <class V>
FASTINIT_INLINE Pair<V> operator~(const Pair<V>& x) {
  return {~x.a, ~x.b};
}

template <class L>
struct Twice {
  using T = typename L::T;
  using F = Pair<typename L::F>;
  using U = Pair<typename L::U>;
  using I = Pair<typename L::I>;
  using M = Pair<typename L::M>;

  static FASTINIT_INLINE F splat(T x) { return {L::splat(x), L::splat(x)}; }
  template <class W>
  static FASTINIT_INLINE U splat_u(W x) {
    return {L::splat_u(x), L::splat_u(x)};
  }
  static FASTINIT_INLINE F from_signed(const I& x) { return {L::from_signed(x.a), L::from_signed(x.b)}; }
  static FASTINIT_INLINE F from_signed_small(const I& x) {
    return {L::from_signed_small(x.a), L::from_signed_small(x.b)};
  }
  static FASTINIT_INLINE F from_unsigned(const U& x) { return {L::from_unsigned(x.a), L::from_unsigned(x.b)}; }
  static FASTINIT_INLINE U bits(const F& x) { return {L::bits(x.a), L::bits(x.b)}; }
  static FASTINIT_INLINE F from_bits(const U& x) { return {L::from_bits(x.a), L::from_bits(x.b)}; }
  static FASTINIT_INLINE I as_signed(const U& x) { return {L::as_signed(x.a), L::as_signed(x.b)}; }
  static FASTINIT_INLINE U as_unsigned(const I& x) { return {L::as_unsigned(x.a), L::as_unsigned(x.b)}; }
  static FASTINIT_INLINE F fma(const F& x, const F& y, const F& z) {
    return {L::fma(x.a, y.a, z.a), L::fma(x.b, y.b, z.b)};
  }
  static FASTINIT_INLINE F sqrt(const F& x) { return {L::sqrt(x.a), L::sqrt(x.b)}; }
  static FASTINIT_INLINE F min(const F& x, const F& y) { return {L::min(x.a, y.a), L::min(x.b, y.b)}; }
  static FASTINIT_INLINE F max(const F& x, const F& y) { return {L::max(x.a, y.a), L::max(x.b, y.b)}; }
  static FASTINIT_INLINE M less(const F& x, const F& y) { return {L::less(x.a, y.a), L::less(x.b, y.b)}; }
  static FASTINIT_INLINE M nonzero(const U& x) { return {L::nonzero(x.a), L::nonzero(x.b)}; }
  static FASTINIT_INLINE F select(const M& m, const F& x, const F& y) {
    return {L::select(m.a, x.a, y.a), L::select(m.b, x.b, y.b)};
  }
  static FASTINIT_INLINE bool any(const M& m) { return L::any(m.a) || L::any(m.b); }
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
