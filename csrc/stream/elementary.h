// Logarithm, sine, cosine and Mills ratio from single IEEE operations, for every lane type. No libm: its last bits
// differ between platforms.
#pragma once

#include "coefficients.h"
#include "distributions.h"
#include "lane.h"

namespace fastinit {

// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): from the bits, by moving sqrt(1/2) to an exponent boundary.
template <class L>
struct Reduced {
  typename L::F k, f;
};

template <class L>
FASTINIT_HD Reduced<L> reduce(typename L::F x) {
  using T = typename L::T;
  constexpr bool single = sizeof(T) == 4;
  constexpr int mantissa = single ? 23 : 52;
  using W = typename ScalarOf<T>::U;
  constexpr W root_half = single ? W(0x3f3504f3u) : W(0x3fe6a09e667f3bcdull);
  const typename L::U bits = L::bits(x);
  const typename L::I k = L::as_signed(bits - L::splat_u(root_half)) >> mantissa;
  const typename L::F m = L::from_bits(bits - (L::as_unsigned(k) << mantissa));
  return {L::from_signed_small(k), m - L::splat(T(1))};
}

// -2 ln(1 + f) + rest, for f of `reduce`.
template <class L>
FASTINIT_HD typename L::F neg2_log1p(typename L::F f, typename L::F rest) {
  using T = typename L::T;
  if constexpr (sizeof(T) == 4) {
    return L::fma(horner<L, coefficients::log_f32>(f), f, rest);
  } else {
    const typename L::F s = f / (f + L::splat(2.0));
    const typename L::F v = s * s;
    const typename L::F series = L::fma(horner<L, coefficients::log_f64>(v), v, L::splat(1.0));
    return L::fma(series * s, L::splat(-4.0), rest);
  }
}

template <class T>
constexpr T kTwoLn2 = T(0x1.62e42fefa39efp+0);

// -2 ln x for a normal x > 0.
template <class L>
FASTINIT_HD typename L::F neg2_log(typename L::F x) {
  using T = typename L::T;
  const Reduced<L> r = reduce<L>(x);
  return neg2_log1p<L>(r.f, r.k * L::splat(-kTwoLn2<T>));
}

// -2 ln(x / 2^b) for x in [1/2, 2^b], b = 32 or 64: exactly 0 at x = 2^b, because b times the constant is exact.
template <class L>
FASTINIT_HD typename L::F neg2_log_below_one(typename L::F x) {
  using T = typename L::T;
  constexpr T b = 8 * sizeof(T);
  const Reduced<L> r = reduce<L>(x);
  return neg2_log1p<L>(r.f, L::fma(r.k, L::splat(-kTwoLn2<T>), L::splat(b * kTwoLn2<T>)));
}

// -2 ln(4 x) - 5: the centred variable of the inverse normal CDF.
template <class L>
FASTINIT_HD typename L::F neg2_log_quarter(typename L::F x) {
  using T = typename L::T;
  const Reduced<L> r = reduce<L>(x);
  return neg2_log1p<L>(r.f, L::fma(r.k, L::splat(-kTwoLn2<T>), L::splat(T(-2.0 * kTwoLn2<double> - 5.0))));
}

// sin(pi y / 4) / y and cos(pi y / 4), both in y^2 on [0, 1].
template <class L>
FASTINIT_HD typename L::F sin_series(typename L::F y2) {
  if constexpr (sizeof(typename L::T) == 4) {
    return horner<L, coefficients::sin_f32>(y2);
  } else {
    return horner<L, coefficients::sin_f64>(y2);
  }
}

template <class L>
FASTINIT_HD typename L::F cos_series(typename L::F y2) {
  if constexpr (sizeof(typename L::T) == 4) {
    return horner<L, coefficients::cos_f32>(y2);
  } else {
    return horner<L, coefficients::cos_f64>(y2);
  }
}

// Mills ratio Q(z) / phi(z) of the standard normal, float64, z >= -1.
template <class L>
FASTINIT_HD typename L::F mills(typename L::F z) {
  const typename L::F t = (z - L::splat(3.0)) / (z + L::splat(5.0));
  return horner<L, coefficients::mills_f64>(t) / (z + L::splat(2.0));
}

// One step of Halley's iteration (1694) on the logarithm of the tail, whose slope is minus the hazard rate
// 1 / mills and whose curvature is hazard (hazard - z): from 1e-6 to the last digits of float64.

// z with Q(|z|) = m, the sign of x; z0 is the approximation.
template <class L>
FASTINIT_HD typename L::F refine_full(typename L::F z0, typename L::F m, typename L::F x) {
  using F = typename L::F;
  const F zero = L::splat(0.0);
  const auto negative = L::less(x, zero);
  const F z = L::max(L::select(negative, -z0, z0), zero);
  const F r = mills<L>(z);
  const F hazard = L::splat(1.0) / r;
  // ln Q(z) - ln m = ln(r / (m sqrt(2 pi))) - z^2 / 2
  const F ratio = r / (m * L::splat(0x1.40d931ff62705p+1));
  const F g = (neg2_log<L>(ratio) + z * z) * L::splat(-0.5);
  const F step = g / L::fma(g * L::splat(0.5), hazard - z, hazard);
  const F better = z + step;
  return L::select(negative, -better, better);
}

// The offset d >= 0 with ln Q(alpha) - ln Q(alpha + d) = w / 2.
template <class L>
FASTINIT_HD typename L::F refine_tail(typename L::F offset, typename L::F w, const Tail<double>& d) {
  using F = typename L::F;
  const F delta = L::max(offset, L::splat(0.0));
  const F z = L::splat(d.alpha) + delta;
  const F r = mills<L>(z);
  const F hazard = L::splat(1.0) / r;
  // -2 ln(mills(alpha) / mills(z)) + 2 alpha delta + delta^2 - w, halved
  const F quadratic = L::fma(delta, delta, L::splat(2.0 * d.alpha) * delta);
  const F h = ((quadratic - neg2_log<L>(L::splat(d.mills_alpha) / r)) - w) * L::splat(0.5);
  return delta - h / L::fma(h * L::splat(-0.5), hazard - z, hazard);
}

}  // namespace fastinit
