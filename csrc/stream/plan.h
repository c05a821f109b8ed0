// Host side of a random fill: from the user's parameters to the constants of one of the forms in transforms.h.
//
// All in double and without libm's transcendentals (tail.h), so that every platform computes the same constants and
// therefore the same values.
#pragma once

#include "fill.h"
#include "tail.h"

namespace fastinit {

namespace plan {

struct Bounds {
  double lo, hi;
};

// The least and greatest numbers of the format in [a, b]; where it has none there, the one nearest the middle.
inline Bounds representable(double a, double b, const Format& f) {
  const Bounds r = {round_up(a, f), round_down(b, f)};
  if (r.lo <= r.hi) return r;
  const double middle = round_nearest(0.5 * a + 0.5 * b, f);
  const double finite = middle > f.max ? f.max : middle < -f.max ? -f.max : middle;
  return {finite, finite};
}

// node j of the n Chebyshev nodes of [0, 1], ascending: sin^2((2 j + 1) pi / (4 n)).
inline double chebyshev_node(int j, int n) {
  const double y = static_cast<double>(2 * j + 1) / n;  // units of pi / 4, in (0, 2)
  if (y > 1.0) return 1.0 - chebyshev_node(n - 1 - j, n);
  const double s = y * sin_series<ScalarF64>(y * y);
  return s * s;
}

// Coefficients, constant first, of the polynomial with N terms through (x[j], y[j]): Newton's divided differences,
// expanded.
template <int N>
void interpolate(const double (&x)[N], double (&y)[N], double (&coef)[N]) {
  for (int k = 1; k < N; ++k) {
    for (int j = N - 1; j >= k; --j) y[j] = (y[j] - y[j - 1]) / (x[j] - x[j - k]);
  }
  for (int i = 0; i < N; ++i) coef[i] = 0.0;
  coef[0] = y[N - 1];
  for (int k = N - 2; k >= 0; --k) {
    for (int i = N - 1 - k; i > 0; --i) coef[i] = coef[i - 1] - x[k] * coef[i];
    coef[0] = y[k] - x[k] * coef[0];
  }
}

template <class T>
constexpr int kWordBits = 8 * sizeof(T);
template <class T>
constexpr double kWordScale = sizeof(T) == 4 ? 0x1p-32 : 0x1p-64;

// The truncation in units of sigma, reflected so that beta >= |alpha|.
struct Standardised {
  double alpha, beta;
  bool reflected;
};

inline Standardised standardise(double mean, double std, double a, double b) {
  const double alpha = (a - mean) / std;
  const double beta = (b - mean) / std;
  if (alpha + beta < 0.0) return {-beta, -alpha, true};
  return {alpha, beta, false};
}

template <class T>
Narrow<T> narrow(const Standardised& s, double total, double std, double near, Bounds r) {
  constexpr int n = Narrow<T>::kTerms;
  const double share = tail::one_minus_exp_minus(total);
  double u[n], ratio[n], coef[n];
  for (int j = 0; j < n; ++j) {
    u[j] = chebyshev_node(j, n);
    ratio[j] = tail::solve_log_ratio(s.alpha, tail::minus_log1m(share * u[j])) / u[j];
  }
  interpolate(u, ratio, coef);
  Narrow<T> d{};
  const double signed_std = s.reflected ? -std : std;
  for (int i = 0; i < n; ++i) d.coef[i] = static_cast<T>(coef[i] * signed_std);
  d.bound = static_cast<T>(near);
  d.lo = static_cast<T>(r.lo);
  d.hi = static_cast<T>(r.hi);
  return d;
}

// -ln of the least u.
template <class T>
constexpr double kReach = (kWordBits<T> + 1) * 0x1.62e42fefa39efp-1;

// Whether a polynomial in w serves [alpha, beta]. As a function of w the offset behaves like sqrt(h^2 + w) - h with h
// the hazard rate at alpha: its singularity at -h^2 must keep its distance from the range [0, 2 total].
inline bool fits_tail(const Standardised& s, double reach) {
  if (s.alpha < 0.0) return false;
  const double total = tail::log_ratio(s.alpha, s.beta - s.alpha);
  const double h = tail::hazard(s.alpha);
  return h * h >= 0.8 * (total < reach ? total : reach);
}

template <class T>
Tail<T> far_tail(const Standardised& s, double std, double near, Bounds r) {
  constexpr int n = Tail<T>::kTerms;
  const double total = tail::log_ratio(s.alpha, s.beta - s.alpha);
  const double range = total < kReach<T> ? total : kReach<T>;
  double x[n], ratio[n], coef[n];
  for (int j = 0; j < n; ++j) {
    x[j] = chebyshev_node(j, n);
    ratio[j] = tail::solve_log_ratio(s.alpha, range * x[j]) / (2.0 * range * x[j]);
  }
  interpolate(x, ratio, coef);
  Tail<T> d{};
  double power = 1.0;
  for (int i = 0; i < n; ++i, power *= 2.0 * range) d.coef[i] = static_cast<T>(coef[i] / power);
  const double share = tail::one_minus_exp_minus(total);
  d.y_scale = static_cast<T>(share * kWordScale<T>);
  d.y_base = static_cast<T>(tail::exp_minus(total) + 0.5 * share * kWordScale<T>);
  d.alpha = static_cast<T>(s.alpha);
  d.mills_alpha = static_cast<T>(tail::mills_ratio(s.alpha));
  d.std = static_cast<T>(s.reflected ? -std : std);
  d.bound = static_cast<T>(near);
  d.lo = static_cast<T>(r.lo);
  d.hi = static_cast<T>(r.hi);
  return d;
}

template <class T>
Central<T> central(const Standardised& s, double mean, double std, Bounds r) {
  const double x_lo = 1.0 - 2.0 * tail::probability(s.alpha);
  const double x_hi = 1.0 - 2.0 * tail::probability(s.beta);
  const double scale = (x_hi - x_lo) * kWordScale<T>;
  return {static_cast<T>(scale), static_cast<T>(0.5 * (x_lo + x_hi) + 0.5 * scale),
          static_cast<T>(mean),  static_cast<T>(s.reflected ? -std : std),
          static_cast<T>(r.lo),  static_cast<T>(r.hi)};
}

template <class T>
Full<T> full(const Standardised& s, double mean, double std, Bounds r) {
  const double scale = (tail::probability(s.alpha) - tail::probability(s.beta)) * kWordScale<T>;
  return {static_cast<T>(scale),
          static_cast<T>(tail::probability(-s.alpha) + 0.5 * scale),
          static_cast<T>(tail::probability(s.beta) + 0.5 * scale),
          static_cast<T>(mean),
          static_cast<T>(s.reflected ? -std : std),
          static_cast<T>(r.lo),
          static_cast<T>(r.hi)};
}

}  // namespace plan

// Uniform on [a, b), a <= b finite. a = b fills a.
inline Distribution plan_uniform(double a, double b, DType dtype) {
  const Format f = format_of(dtype);
  // hi lies below b and below b rounded to the type, so that no comparison in either precision finds it equal to b.
  double hi = round_down(b, f);
  if (hi >= b || hi == round_nearest(b, f)) hi = predecessor(hi, f);
  double lo = round_up(a, f);
  if (!(lo <= hi)) lo = hi = round_nearest(a, f);
  Distribution d{};
  d.kind = Kind::Uniform;
  const double middle = 0.5 * a + 0.5 * b;
  if (dtype == DType::F64) {
    d.wide.uniform = {(b - a) * 0x1p-64, middle, lo, hi};
  } else {
    d.single.uniform = {static_cast<float>((b - a) * 0x1p-32), static_cast<float>(middle), static_cast<float>(lo),
                        static_cast<float>(hi)};
  }
  return d;
}

inline Distribution plan_normal(double mean, double std, DType dtype) {
  Distribution d{};
  d.kind = Kind::Normal;
  if (dtype == DType::F64) {
    d.wide.normal = {mean, std};
  } else {
    d.single.normal = {static_cast<float>(mean), static_cast<float>(std)};
  }
  return d;
}

// N(mean, std^2) conditioned on [a, b]; std >= 0 and a <= b, either bound may be infinite.
inline Distribution plan_truncated_normal(double mean, double std, double a, double b, DType dtype) {
  const Format f = format_of(dtype);
  const bool wide = dtype == DType::F64;
  const plan::Bounds r = plan::representable(a, b, f);

  // A point mass: the limit of the law as std goes to 0, or as the bounds meet.
  if (std == 0.0 || a == b) {
    const double at = mean < r.lo ? r.lo : mean > r.hi ? r.hi : mean;
    return plan_normal(at, 0.0, dtype);
  }

  // Bounds that no normal value of the stream reaches: the plain normal is the truncated one, and cheaper. Judged by the
  // numbers that its kernel would use and round, so that no value of it can lie outside.
  const auto working = [&](double x) { return wide ? x : static_cast<double>(static_cast<float>(x)); };
  const auto rounded = [&](double x) { return round_nearest(working(x), f); };
  const double reach = (wide ? 9.5 : 6.77) * working(std);  // sqrt(130 ln 2) and sqrt(66 ln 2), rounded up
  if (rounded(working(mean) - reach) >= r.lo && rounded(working(mean) + reach) <= r.hi) {
    return plan_normal(mean, std, dtype);
  }

  const plan::Standardised s = plan::standardise(mean, std, a, b);
  const double width = s.beta - s.alpha;
  const double near = s.reflected ? b : a;
  const double reachable = (wide ? plan::kReach<double> : plan::kReach<float>);
  Distribution d{};
  // So narrow that the fitted polynomial is exact to the type; float64 has terms enough for less.
  if (width * tail::hazard(s.beta) <= (wide ? 0.02 : 0.34)) {
    d.kind = Kind::Narrow;
    const double total = tail::log_ratio(s.alpha, width);
    if (wide) {
      d.wide.narrow = plan::narrow<double>(s, total, std, near, r);
    } else {
      d.single.narrow = plan::narrow<float>(s, total, std, near, r);
    }
  } else if (!wide && s.beta <= 2.02) {
    d.kind = Kind::Central;
    d.single.central = plan::central<float>(s, mean, std, r);
  } else if (plan::fits_tail(s, reachable)) {
    d.kind = Kind::Tail;
    if (wide) {
      d.wide.tail = plan::far_tail<double>(s, std, near, r);
    } else {
      d.single.tail = plan::far_tail<float>(s, std, near, r);
    }
  } else {
    d.kind = Kind::Full;
    if (wide) {
      d.wide.full = plan::full<double>(s, mean, std, r);
    } else {
      d.single.full = plan::full<float>(s, mean, std, r);
    }
  }
  return d;
}

}  // namespace fastinit
