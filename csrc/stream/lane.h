// What the transforms need of a number type, and its scalar form.
//
// transforms.h is written once, over a lane type L: one number here (the host's constants, a CUDA thread), a whole
// vector in cpu/simd.h. Every operation is a single IEEE-754 operation or an integer one, so all lanes agree bit for
// bit.
#pragma once

#include <cmath>
#include <cstring>

#include "platform.h"

namespace fastinit {

template <class Float, class Unsigned, class Signed>
struct ScalarLane {
  using T = Float;
  using F = Float;
  using U = Unsigned;
  using I = Signed;

  static FASTINIT_HD F splat(T x) { return x; }
  static FASTINIT_HD U splat_u(U x) { return x; }
  static FASTINIT_HD F from_unsigned(U x) { return static_cast<F>(x); }
  static FASTINIT_HD F from_signed(I x) { return static_cast<F>(x); }
  static FASTINIT_HD F from_signed_small(I x) { return static_cast<F>(x); }  // |x| < 2^51
  static FASTINIT_HD U bits(F x) {
    U u;
    memcpy(&u, &x, sizeof u);
    return u;
  }
  static FASTINIT_HD F from_bits(U u) {
    F x;
    memcpy(&x, &u, sizeof x);
    return x;
  }
  static FASTINIT_HD I as_signed(U u) { return static_cast<I>(u); }
  static FASTINIT_HD U as_unsigned(I i) { return static_cast<U>(i); }
  static FASTINIT_HD F fma(F a, F b, F c) { return ::fma(a, b, c); }
  static FASTINIT_HD F sqrt(F x) { return ::sqrt(x); }
  static FASTINIT_HD F min(F a, F b) { return a < b ? a : b; }
  static FASTINIT_HD F max(F a, F b) { return a > b ? a : b; }
  static FASTINIT_HD F select(bool m, F a, F b) { return m ? a : b; }
  static FASTINIT_HD bool nonzero(U u) { return u != 0; }
  static FASTINIT_HD bool less(F a, F b) { return a < b; }
  static FASTINIT_HD bool any(bool m) { return m; }
};

// The overloads of ::fma and ::sqrt for float come from <cmath> under std; spelt out here so that no conversion sneaks
// in.
template <>
FASTINIT_HD float ScalarLane<float, uint32_t, int32_t>::fma(float a, float b, float c) {
  return ::fmaf(a, b, c);
}
template <>
FASTINIT_HD float ScalarLane<float, uint32_t, int32_t>::sqrt(float x) {
  return ::sqrtf(x);
}

using ScalarF32 = ScalarLane<float, uint32_t, int32_t>;
using ScalarF64 = ScalarLane<double, uint64_t, int64_t>;

// The polynomial with coefficients C, constant term first, by Horner's rule: one fma a degree.
template <class L, const auto& C, std::size_t I = 0>
FASTINIT_HD typename L::F horner(typename L::F x) {
  constexpr std::size_t n = sizeof(C) / sizeof(C[0]);
  constexpr typename L::T c = C[I];  // a constant expression: nothing is loaded on a device
  if constexpr (I + 1 == n) {
    return L::splat(c);
  } else {
    return L::fma(horner<L, C, I + 1>(x), x, L::splat(c));
  }
}

// The same with coefficients known only at run time.
template <class L, std::size_t N>
FASTINIT_HD typename L::F horner(const typename L::T (&c)[N], typename L::F x) {
  typename L::F acc = L::splat(c[N - 1]);
  for (std::size_t i = N - 1; i-- > 0;) acc = L::fma(acc, x, L::splat(c[i]));
  return acc;
}

}  // namespace fastinit
