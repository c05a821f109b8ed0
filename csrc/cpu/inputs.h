// Where values are read from: one struct a number format, each loading a step of 32 elements, a row of 16 at a time.
#pragma once

#include "../stream/formats.h"
#include "many.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

constexpr int kRow = 16;         // lanes of a row, whatever the width of a vector
constexpr int kStep = 2 * kRow;  // elements

template <class V>
using Row = Many<V, kRow / static_cast<int>(kBytes / sizeof(V{}[0]))>;

// The lower and the upper half of the lanes, in float64.
FASTINIT_INLINE void widen(F32 x, F64& lower, F64& upper) {
#if FASTINIT_V4
  lower = (F64)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
  upper = (F64)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif FASTINIT_V3
  lower = (F64)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
  upper = (F64)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#elif FASTINIT_SSE2
  lower = (F64)_mm_cvtps_pd((__m128)x);
  upper = (F64)_mm_cvtps_pd(_mm_movehl_ps((__m128)x, (__m128)x));
#elif FASTINIT_NEON
  lower = (F64)vcvt_f64_f32(vget_low_f32((float32x4_t)x));
  upper = (F64)vcvt_high_f64_f32((float32x4_t)x);
#else
  for (int i = 0; i < kLanes64; ++i) {
    lower[i] = x[i];
    upper[i] = x[kLanes64 + i];
  }
#endif
}
FASTINIT_INLINE Row<F64> widened(const Row<F32>& x) {
  Row<F64> out;
#pragma GCC unroll 4
  for (int k = 0; k < kRow / kLanes32; ++k) widen(x.v[k], out.v[2 * k], out.v[2 * k + 1]);
  return out;
}
FASTINIT_INLINE const Row<F64>& widened(const Row<F64>& x) { return x; }

// To whole numbers, toward zero; of numbers that 32 bits hold.
FASTINIT_INLINE U32 whole(F32 x) { return (U32) __builtin_convertvector(x, I32); }
FASTINIT_INLINE U64 whole(F64 x) {
#if FASTINIT_V4
  return (U64)_mm512_cvttpd_epi64((__m512d)x);
#elif FASTINIT_V3
  return (U64)_mm256_cvtepi32_epi64(_mm256_cvttpd_epi32((__m256d)x));
#elif FASTINIT_SSE2
  return (U64)_mm_unpacklo_epi32(_mm_cvttpd_epi32((__m128d)x), _mm_setzero_si128());
#elif FASTINIT_NEON
  return (U64)vcvtq_s64_f64((float64x2_t)x);
#else
  U64 r;
  for (int i = 0; i < kLanes64; ++i) r[i] = static_cast<uint64_t>(x[i]);
  return r;
#endif
}

template <class L>
struct InPlain {
  using T = typename L::T;
  using Lane = L;
  using F = typename L::F;
  template <int R>
  static FASTINIT_INLINE Row<F> load_row(const T* p) {
    constexpr int lanes = kBytes / static_cast<int>(sizeof(T));
    return each<F, kRow / lanes>([&](int k) { return load<F>(p + R * kRow + k * lanes); });
  }
  static FASTINIT_INLINE T widen(T x) { return x; }
};
using InF32 = InPlain<Lane32>;
using InF64 = InPlain<Lane64>;

// The even elements are one row, the odd ones the other.
struct InBF16 {
  using T = uint16_t;
  using Lane = Lane32;
  template <int R>
  static FASTINIT_INLINE Row<F32> load_row(const T* p) {
    return each<F32, kRow / kLanes32>([&](int k) {
      const U32 pairs = load<U32>(p + 2 * k * kLanes32);
      return (F32)(R == 0 ? pairs << 16 : pairs & 0xffff0000u);
    });
  }
  static FASTINIT_INLINE float widen(T x) {
    const uint32_t bits = static_cast<uint32_t>(x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

struct InF16 {
  using T = uint16_t;
  using Lane = Lane32;
  template <int R>
  static FASTINIT_INLINE Row<F32> load_row(const T* p) {
    return each<F32, kRow / kLanes32>([&](int k) { return load_vector(p + R * kRow + k * kLanes32); });
  }
  static FASTINIT_INLINE float widen(T x) {
    const uint32_t sign = (x & 0x8000u) << 16, exponent = x >> 10 & 0x1fu, fraction = x & 0x3ffu;
    float value;
    uint32_t bits = exponent == 0x1f ? 0x7f800000u | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    if (exponent == 0) {
      value = static_cast<float>(fraction) * 0x1p-24f;
      std::memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

 private:
  static FASTINIT_INLINE F32 load_vector(const T* p) {
#if FASTINIT_V4
    return (F32)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif FASTINIT_V3
    return (F32)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif FASTINIT_NEON
    return (F32)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    F32 r;
    for (int i = 0; i < kLanes32; ++i) r[i] = widen(p[i]);
    return r;
#endif
  }
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
