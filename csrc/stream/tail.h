// The upper tail of the standard normal on the host, in double, from the shared elementary functions.
//
// Only + - * / sqrt and fma in a fixed order: libm's erfc and exp differ between platforms in their last bits, and
// constants that differ would be values that differ.
#pragma once

#include <cmath>
#include <limits>

#include "elementary.h"

namespace fastinit::tail {

using L = ScalarF64;
constexpr double kRootTwoPi = 0x1.40d931ff62705p+1;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// e^-x for x >= 0: x = k ln 2 + r, |r| <= ln(2) / 2, Taylor to the 14th power. 0 beyond 745.
inline double exp_minus(double x) {
  if (!(x < 745.0)) return x != x ? x : 0.0;
  constexpr double ln2_high = 0x1.62e42fecp-1, ln2_low = 0x1.d1cf79abc9e3bp-32;
  const double k = std::floor(x / 0x1.62e42fefa39efp-1 + 0.5);
  const double r = (k * ln2_high - x) + k * ln2_low;
  double sum = 1.0;
  for (int n = 14; n > 0; --n) sum = 1.0 + sum * r / n;
  return std::ldexp(sum, -static_cast<int>(k));
}

// 1 - e^-x for x >= 0, without cancellation.
inline double one_minus_exp_minus(double x) {
  if (x > 0.5) return 1.0 - exp_minus(x);
  double sum = 1.0;
  for (int n = 18; n > 1; --n) sum = 1.0 - sum * x / n;
  return x * sum;
}

// -ln(1 - x) for 0 <= x < 1, without cancellation.
inline double minus_log1m(double x) { return 0.5 * (x < 0.29 ? neg2_log1p<L>(-x, 0.0) : neg2_log<L>(1.0 - x)); }

inline double mills_ratio(double z) { return mills<L>(z); }
inline double hazard(double z) { return 1.0 / mills_ratio(z); }

// Q(z) = P(Z > z), to a relative error of a few units in the last place for z >= -1, absolute below.
inline double probability(double z) {
  if (z == kInfinity) return 0.0;
  if (z < -1.0) return 1.0 - probability(-z);
  return exp_minus(0.5 * z * z) / kRootTwoPi * mills_ratio(z);
}

// ln Q(z) - ln Q(z + d) for z >= -1, d >= 0: the integral of the hazard rate.
inline double log_ratio(double z, double d) {
  if (d == kInfinity) return kInfinity;
  if (d * hazard(z + d) > 0.5) {
    return d * z + 0.5 * d * d + 0.5 * (neg2_log<L>(mills_ratio(z + d)) - neg2_log<L>(mills_ratio(z)));
  }
  // Close together the difference above would cancel: five-point Gauss-Legendre quadrature instead.
  constexpr double node[] = {0.0, 0x1.13b23fd99b705p-1, 0x1.cff6ce0533a69p-1};
  constexpr double weight[] = {0x1.23456789abcdfp-1, 0x1.ea1da25ae415bp-2, 0x1.e539ec36e038cp-3};
  double sum = weight[0] * hazard(z + 0.5 * d);
  for (int i = 1; i < 3; ++i) {
    sum += weight[i] * (hazard(z + 0.5 * d * (1.0 - node[i])) + hazard(z + 0.5 * d * (1.0 + node[i])));
  }
  return 0.5 * d * sum;
}

// The d >= 0 with log_ratio(z, d) = target, by Newton's iteration on a convex increasing function.
inline double solve_log_ratio(double z, double target) {
  const double slope = hazard(z);
  double d = 2.0 * target / (slope + std::sqrt(slope * slope + 2.0 * target));
  for (int i = 0; i < 6; ++i) d -= (log_ratio(z, d) - target) / hazard(z + d);
  return d;
}

}  // namespace fastinit::tail
