// Words to values: each distribution as a pure function of its words, written once for every lane type (lane.h).
//
// A transform takes the two words of a pair of elements, `even` and `odd`, and returns the two values. Only single
// IEEE-754 operations in this fixed order, so scalar code, every vector width and CUDA agree bit for bit. All
// intermediates are normal numbers or zero for parameters that are, so flush-to-zero changes nothing.
#pragma once

#include <type_traits>

#include "coefficients.h"
#include "distributions.h"
#include "elementary.h"

namespace fastinit {

// ---- uniform on [a, b) ----
// The middle plus the word, as a signed number, times (b - a) / 2^32: all bits of the word count, most of all near the
// middle, which for weights is 0. Clamped to [lo, hi], the least and greatest numbers of the target type in [a, b):
// the clamp moves a value by at most one step.

template <class L>
FASTINIT_HD typename L::F value(typename L::U word, const Uniform<typename L::T>& d) {
  const typename L::F x = L::fma(L::from_signed(L::as_signed(word)), L::splat(d.scale), L::splat(d.middle));
  return L::min(L::max(x, L::splat(d.lo)), L::splat(d.hi));
}

// ---- normal: Box and Muller (1958) ----
// Radius sqrt(-2 ln u), u = (word + 1/2) / 2^32 rounded to the type: all 32 bits where they matter, so up to 6.76 sigma
// (float64: 9.5). The angle is uniform on the circle by construction, without range reduction: bit 31 of its word is the
// sign of the cosine, bit 30 swaps cosine and sine, and the other 30 are an angle in [-pi/4, pi/4).
// Error against the exact function of that u: 5 units in the last place, both types, mean 0.

template <class L>
FASTINIT_HD void normal_pair(typename L::U even, typename L::U odd, const Normal<typename L::T>& d, typename L::F& x,
                             typename L::F& y) {
  using T = typename L::T;
  using F = typename L::F;
  constexpr int top = 8 * sizeof(T) - 1;
  constexpr typename ScalarOf<T>::U one = 1;
  constexpr T unit = sizeof(T) == 4 ? T(0x1p-31) : T(0x1p-63);

  const F u = L::from_unsigned(even) + L::splat(T(0.5));
  const F radius = L::sqrt(neg2_log_below_one<L>(u)) * L::splat(d.std);

  const F turn = L::from_signed(L::as_signed(odd << 2)) * L::splat(unit);  // in [-1, 1), units of pi/4
  const F t2 = turn * turn;
  const F sine = turn * sin_series<L>(t2);
  const F cosine = L::from_bits(L::bits(cos_series<L>(t2)) ^ (odd & L::splat_u(one << top)));

  const auto swap = L::nonzero(odd & L::splat_u(one << (top - 1)));
  const F first = L::select(swap, sine, cosine);
  const F second = L::select(swap, cosine, sine);
  x = L::fma(radius, first, L::splat(d.mean));
  y = L::fma(radius, second, L::splat(d.mean));
}

// ---- normal truncated to [a, b]: one inverse-CDF evaluation a value ----
// The host (plan.h) chooses among four forms by where the bounds lie; each holds over its whole range, none loops.

// A narrow interval: the offset from the bound is a polynomial in u that the host fitted for these bounds.
template <class L>
FASTINIT_HD typename L::F value(typename L::U word, const Narrow<typename L::T>& d) {
  using T = typename L::T;
  constexpr T unit = sizeof(T) == 4 ? T(0x1p-32) : T(0x1p-64);
  const typename L::F u = L::fma(L::from_unsigned(word), L::splat(unit), L::splat(T(0.5) * unit));
  const typename L::F x = L::fma(horner<L>(d.coef, u), u, L::splat(d.bound));
  return L::min(L::max(x, L::splat(d.lo)), L::splat(d.hi));
}

// Both bounds far in one tail: the offset from the near bound is a polynomial, fitted by the host, in w = -2 ln y where
// y is the tail probability relative to that of the near bound.
template <class L>
FASTINIT_HD typename L::F value(typename L::U word, const Tail<typename L::T>& d) {
  using F = typename L::F;
  const F y = L::fma(L::from_unsigned(~word), L::splat(d.y_scale), L::splat(d.y_base));
  const F w = neg2_log<L>(y);
  F offset = horner<L>(d.coef, w) * w;
  if constexpr (sizeof(typename L::T) == 8) offset = refine_tail<L>(offset, w, d);
  const F x = L::fma(offset, L::splat(d.std), L::splat(d.bound));
  return L::min(L::max(x, L::splat(d.lo)), L::splat(d.hi));
}

// Within +-2.02 sigma: z = x P(s) / Q(s) with x = 2 p - 1 and s = 1 - x^2; no logarithm.
template <class L>
FASTINIT_HD typename L::F value(typename L::U word, const Central<typename L::T>& d) {
  using F = typename L::F;
  const F x = L::fma(L::from_signed(L::as_signed(word)), L::splat(d.scale), L::splat(d.base));
  const F s = L::fma(-x, x, L::splat(1.0f));
  const F z = x * (horner<L, coefficients::central_p>(s) / horner<L, coefficients::central_q>(s));
  const F v = L::fma(z, L::splat(d.std), L::splat(d.mean));
  return L::min(L::max(v, L::splat(d.lo)), L::splat(d.hi));
}

// Anything else: z = x H(v), v = -2 ln(4 p q) = -2 ln(1 - x^2), the variable of M. Giles, "Approximating the erfinv
// function" (2010). p and q = 1 - p come separately, from the word and its complement, so neither tail cancels.
template <class L>
FASTINIT_HD typename L::F value(typename L::U word, const Full<typename L::T>& d) {
  using T = typename L::T;
  using F = typename L::F;
  const F p = L::fma(L::from_unsigned(word), L::splat(d.scale), L::splat(d.p_base));
  const F q = L::fma(L::from_unsigned(~word), L::splat(d.scale), L::splat(d.q_base));
  const F x = p - q;
  const F v = neg2_log_quarter<L>(p * q);  // v - 5
  F h = horner<L, coefficients::probit_near>(v);
  const auto far = L::less(L::splat(T(5)), v);
  if (L::any(far)) {  // 1 value in 150 of a whole normal
    const F r = L::sqrt(L::max(v, L::splat(T(0))) + L::splat(T(5))) - L::splat(T(6.5));
    h = L::select(far, horner<L, coefficients::probit_far>(r), h);
  }
  F z = x * h;
  if constexpr (sizeof(T) == 8) z = refine_full<L>(z, L::min(p, q), x);
  const F cut = L::fma(z, L::splat(d.std), L::splat(d.mean));
  return L::min(L::max(cut, L::splat(d.lo)), L::splat(d.hi));
}

// ---- one name for all, so that a kernel is written once ----
// The two words of a pair of elements to their two values.

template <class L, class D>
FASTINIT_HD void transform(const D& d, typename L::U even, typename L::U odd, typename L::F& x, typename L::F& y) {
  if constexpr (std::is_same_v<D, Normal<typename L::T>>) {
    normal_pair<L>(even, odd, d, x, y);
  } else {
    x = value<L>(even, d);
    y = value<L>(odd, d);
  }
}

}  // namespace fastinit
