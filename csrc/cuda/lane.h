// The lane types of stream/lane.h on a device: the scalar ones, where the compiler's own form of an operation is longer
// than these operands need. The values are the same, bit for bit.
#pragma once

#include "../stream/lane.h"

namespace fastinit::cuda {

// The square root of x, rounded to nearest, from `seed` near 1 / sqrt(x), by one correction with an exact residual: the
// operations that the compiler itself uses for a square root within its fast range, which holds [2^-100, 2^100]. For all x
// there and *every* float32 seed within the bound that PTX states for rsqrt.approx (relative 2^-22.9) the result is
// right, but for two pairs that the instruction does not return (tests/native/roots.cpp); and for x = 0.
FASTINIT_HD float root_from_seed(float x, float seed) {
  const float root = x * seed;
  const float half = 0.5f * seed;
  return ::fmaf(::fmaf(-root, root, x), half, root);
}

struct LaneF32 : ScalarF32 {
  // x is 0 or in [2^-100, 2^100], which holds for all that is in stream/transforms.h. The compiler's square root also
  // serves the rest: it tests and branches at every call. (No x here is subnormal, so .ftz only saves the test for it.)
  static FASTINIT_HD float sqrt(float x) {
#if defined(__CUDA_ARCH__)
    float seed;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(seed) : "f"(fmaxf(x, 0x1p-100f)));
    return root_from_seed(x, seed);
#else
    return ScalarF32::sqrt(x);
#endif
  }
};

// The same with the device's own minimum and maximum, one instruction each where a comparison and a selection are two.
// They order -0 before +0, while those of the stream return the bound when the two are equal: the same but for a lower
// bound of -0 and an upper one of +0, which `bounds_allow_clamping` keeps out.
struct ClampingLaneF32 : LaneF32 {
  static FASTINIT_HD float min(float a, float b) {
#if defined(__CUDA_ARCH__)
    return fminf(a, b);
#else
    return a == b ? (std::signbit(a) ? a : b) : ScalarF32::min(a, b);
#endif
  }
  static FASTINIT_HD float max(float a, float b) {
#if defined(__CUDA_ARCH__)
    return fmaxf(a, b);
#else
    return a == b ? (std::signbit(a) ? b : a) : ScalarF32::max(a, b);
#endif
  }
};

inline bool bounds_allow_clamping(float lo, float hi) {
  return !(lo == 0.0f && std::signbit(lo)) && !(hi == 0.0f && !std::signbit(hi));
}

}  // namespace fastinit::cuda
