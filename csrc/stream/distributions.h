// The parameters of a fill as the kernels see them: plain structs of numbers that the host computed once, in double.
#pragma once

#include "platform.h"

namespace fastinit {

// The unsigned type whose words a float type consumes.
template <class T>
struct ScalarOf;
template <>
struct ScalarOf<float> {
  using U = uint32_t;
};
template <>
struct ScalarOf<double> {
  using U = uint64_t;
};

// In every bounded distribution lo and hi are the least and greatest numbers of the target type within the bounds.
template <class T>
struct Uniform {
  T scale, middle, lo, hi;
};

template <class T>
struct Normal {
  T mean, std;
};

template <class T>
struct Narrow {
  static constexpr int kTerms = 8;
  T coef[kTerms];  // offset / u in u, times the signed standard deviation
  T bound, lo, hi;
};

template <class T>
struct Tail {
  static constexpr int kTerms = 11;
  T coef[kTerms];  // offset in sigmas / w in w
  T y_scale, y_base;
  T alpha, mills_alpha;  // the near bound in sigmas, and its Mills ratio (float64's refinement)
  T std;                 // signed: negative when the near bound is the upper one
  T bound, lo, hi;
};

template <class T>
struct Central {
  T scale, base, mean, std, lo, hi;
};

template <class T>
struct Full {
  T scale, p_base, q_base, mean, std, lo, hi;
};

}  // namespace fastinit
