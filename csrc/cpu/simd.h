// Vectors of one instruction set: the lane types of stream/lane.h, on GNU vector extensions (g++ and clang).
//
// kernels.cpp is compiled once per instruction set; the width follows from the compiler's target. Where the compilers
// find the right instruction by themselves plain operators are used, intrinsics only where they do not.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "../stream/lane.h"

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define FASTINIT_V4 1
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define FASTINIT_V3 1
#elif defined(__SSE2__)
#define FASTINIT_SSE2 1
#elif defined(__ARM_NEON)
#define FASTINIT_NEON 1
#endif

namespace fastinit::FASTINIT_ISA_NAMESPACE {

#if FASTINIT_V4
constexpr int kBytes = 64;
#elif FASTINIT_V3
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
constexpr int kLanes32 = kBytes / 4;
constexpr int kLanes64 = kBytes / 8;

typedef float F32 __attribute__((vector_size(kBytes)));
typedef uint32_t U32 __attribute__((vector_size(kBytes)));
typedef int32_t I32 __attribute__((vector_size(kBytes)));
typedef double F64 __attribute__((vector_size(kBytes)));
typedef uint64_t U64 __attribute__((vector_size(kBytes)));
typedef int64_t I64 __attribute__((vector_size(kBytes)));

// g++ has __builtin_shufflevector from version 12 on.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FASTINIT_SHUFFLE __builtin_shufflevector
#endif
#endif
#if !defined(FASTINIT_SHUFFLE)
template <class V>
struct Indices {
  typedef std::conditional_t<sizeof(V{}[0]) == 8, int64_t, int32_t> I;
  typedef I type __attribute__((vector_size(sizeof(V))));
};
#define FASTINIT_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Indices<std::decay_t<decltype(a)>>::type{__VA_ARGS__})
#endif

#define FASTINIT_INLINE inline __attribute__((always_inline))

template <class V>
FASTINIT_INLINE V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
FASTINIT_INLINE void store(void* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

// ---- multiplication of the low halves of 64-bit lanes, the heart of Philox
// -------------------------------------------

FASTINIT_INLINE U64 multiply_low_halves(U64 a, U64 b) {
#if FASTINIT_V4
  return (U64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif FASTINIT_V3
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif FASTINIT_SSE2
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif FASTINIT_NEON
  return (U64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

// ---- shuffles
// --------------------------------------------------------------------------------------------------------

#if FASTINIT_V4
#define FASTINIT_PAIRS(even, odd)                                                                                \
  even(0), odd(0), even(1), odd(1), even(2), odd(2), even(3), odd(3), even(4), odd(4), even(5), odd(5), even(6), \
      odd(6), even(7), odd(7)
#elif FASTINIT_V3
#define FASTINIT_PAIRS(even, odd) even(0), odd(0), even(1), odd(1), even(2), odd(2), even(3), odd(3)
#else
#define FASTINIT_PAIRS(even, odd) even(0), odd(0), even(1), odd(1)
#endif
#define FASTINIT_FIRST_HIGH(i) (2 * (i) + 1)
#define FASTINIT_FIRST_LOW(i) (2 * (i))
#define FASTINIT_SECOND_HIGH(i) (kLanes32 + 2 * (i) + 1)
#define FASTINIT_SECOND_LOW(i) (kLanes32 + 2 * (i))

// In every 64-bit lane: the high half of a below the high half of b.
FASTINIT_INLINE U32 join_high_halves(U64 a, U64 b) {
#if FASTINIT_V4
  return (U32)_mm512_mask_shuffle_epi32((__m512i)b, 0x5555, (__m512i)a, _MM_PERM_DDBB);
#else
  return FASTINIT_SHUFFLE((U32)a, (U32)b, FASTINIT_PAIRS(FASTINIT_FIRST_HIGH, FASTINIT_SECOND_HIGH));
#endif
}
// In every 64-bit lane: the low half of a below the low half of b.
FASTINIT_INLINE U32 join_low_halves(U64 a, U64 b) {
#if FASTINIT_V4
  return (U32)_mm512_mask_shuffle_epi32((__m512i)a, 0xAAAA, (__m512i)b, _MM_PERM_CCAA);
#else
  return FASTINIT_SHUFFLE((U32)a, (U32)b, FASTINIT_PAIRS(FASTINIT_FIRST_LOW, FASTINIT_SECOND_LOW));
#endif
}

// Interleave a and b within every 128 bits: the lower elements, and the upper ones.
FASTINIT_INLINE F32 interleave_lower(F32 a, F32 b) {
#if FASTINIT_V4
  return (F32)_mm512_unpacklo_ps((__m512)a, (__m512)b);
#elif FASTINIT_V3
  return (F32)_mm256_unpacklo_ps((__m256)a, (__m256)b);
#else
  return FASTINIT_SHUFFLE(a, b, 0, 4, 1, 5);
#endif
}
FASTINIT_INLINE F32 interleave_upper(F32 a, F32 b) {
#if FASTINIT_V4
  return (F32)_mm512_unpackhi_ps((__m512)a, (__m512)b);
#elif FASTINIT_V3
  return (F32)_mm256_unpackhi_ps((__m256)a, (__m256)b);
#else
  return FASTINIT_SHUFFLE(a, b, 2, 6, 3, 7);
#endif
}
FASTINIT_INLINE F64 interleave_lower(F64 a, F64 b) {
#if FASTINIT_V4
  return (F64)_mm512_unpacklo_pd((__m512d)a, (__m512d)b);
#elif FASTINIT_V3
  return (F64)_mm256_unpacklo_pd((__m256d)a, (__m256d)b);
#else
  return FASTINIT_SHUFFLE(a, b, 0, 2);
#endif
}
FASTINIT_INLINE F64 interleave_upper(F64 a, F64 b) {
#if FASTINIT_V4
  return (F64)_mm512_unpackhi_pd((__m512d)a, (__m512d)b);
#elif FASTINIT_V3
  return (F64)_mm256_unpackhi_pd((__m256d)a, (__m256d)b);
#else
  return FASTINIT_SHUFFLE(a, b, 1, 3);
#endif
}

// ---- fused multiply-add without the instruction: the x86-64 baseline
// -------------------------------------------------

#if FASTINIT_SSE2
// fma of two lanes through double. The product of two floats is exact there; the sum is rounded once more when it comes
// back to float, which differs from a true fma only if it lies on a midpoint of floats without being exact. The
// 29 discarded bits of a midpoint are 100...0, so that pattern (1 in 2^29) sends the lane to the library's fma.
FASTINIT_INLINE __m128d fma_sum(__m128d a, __m128d b, __m128d c, int& suspect) {
  const __m128d s = _mm_add_pd(_mm_mul_pd(a, b), c);
  const __m128i low = _mm_and_si128(_mm_castpd_si128(s), _mm_set1_epi64x(0x1fffffff));
  suspect |= _mm_movemask_epi8(_mm_cmpeq_epi32(low, _mm_set1_epi64x(0x10000000))) & 0x0f0f;
  return s;
}
__attribute__((noinline, cold)) inline F32 fma_exact(F32 a, F32 b, F32 c) {
  for (int i = 0; i < kLanes32; ++i) c[i] = ::fmaf(a[i], b[i], c[i]);
  return c;
}
FASTINIT_INLINE F32 fma_baseline(F32 a, F32 b, F32 c) {
  const __m128 va = (__m128)a, vb = (__m128)b, vc = (__m128)c;
  int suspect = 0;
  const __m128d lo = fma_sum(_mm_cvtps_pd(va), _mm_cvtps_pd(vb), _mm_cvtps_pd(vc), suspect);
  const __m128d hi = fma_sum(_mm_cvtps_pd(_mm_movehl_ps(va, va)), _mm_cvtps_pd(_mm_movehl_ps(vb, vb)),
                             _mm_cvtps_pd(_mm_movehl_ps(vc, vc)), suspect);
  if (__builtin_expect(suspect, 0)) return fma_exact(a, b, c);
  return (F32)_mm_movelh_ps(_mm_cvtpd_ps(lo), _mm_cvtpd_ps(hi));
}
#endif

// ---- lanes
// -----------------------------------------------------------------------------------------------------------

struct Lane32 {
  using T = float;
  using F = F32;
  using U = U32;
  using I = I32;

  // x - 0 is x for every x; 0 + x would turn -0 into 0.
  static FASTINIT_INLINE F splat(float x) { return x - F{}; }
  static FASTINIT_INLINE U splat_u(uint32_t x) { return U{} + x; }
  static FASTINIT_INLINE F from_signed(I x) { return __builtin_convertvector(x, F); }
  static FASTINIT_INLINE F from_signed_small(I x) { return from_signed(x); }
  static FASTINIT_INLINE F from_unsigned(U x) {
#if FASTINIT_V4
    return (F)_mm512_cvtepu32_ps((__m512i)x);
#elif FASTINIT_NEON
    return (F)vcvtq_f32_u32((uint32x4_t)x);
#else
    // Both halves and the product are exact: one rounding, in the addition.
    return from_signed((I)(x >> 16)) * 65536.0f + from_signed((I)(x & 0xffffu));
#endif
  }
  static FASTINIT_INLINE U bits(F x) { return (U)x; }
  static FASTINIT_INLINE F from_bits(U x) { return (F)x; }
  static FASTINIT_INLINE I as_signed(U x) { return (I)x; }
  static FASTINIT_INLINE U as_unsigned(I x) { return (U)x; }
  static FASTINIT_INLINE F fma(F a, F b, F c) {
#if FASTINIT_V4
    return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif FASTINIT_V3
    return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif FASTINIT_SSE2
    return fma_baseline(a, b, c);
#elif FASTINIT_NEON
    return (F)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    F r;
    for (int i = 0; i < kLanes32; ++i) r[i] = ::fmaf(a[i], b[i], c[i]);
    return r;
#endif
  }
  static FASTINIT_INLINE F sqrt(F x) {
#if FASTINIT_V4
    return (F)_mm512_sqrt_ps((__m512)x);
#elif FASTINIT_V3
    return (F)_mm256_sqrt_ps((__m256)x);
#elif FASTINIT_SSE2
    return (F)_mm_sqrt_ps((__m128)x);
#elif FASTINIT_NEON
    return (F)vsqrtq_f32((float32x4_t)x);
#else
    F r;
    for (int i = 0; i < kLanes32; ++i) r[i] = ::sqrtf(x[i]);
    return r;
#endif
  }
#if FASTINIT_V4
  using M = __mmask16;
  static FASTINIT_INLINE M less(F a, F b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
  static FASTINIT_INLINE M nonzero(U x) { return _mm512_test_epi32_mask((__m512i)x, (__m512i)x); }
  static FASTINIT_INLINE F select(M m, F a, F b) { return (F)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
  static FASTINIT_INLINE F min(F a, F b) { return (F)_mm512_min_ps((__m512)a, (__m512)b); }
  static FASTINIT_INLINE F max(F a, F b) { return (F)_mm512_max_ps((__m512)a, (__m512)b); }
#else
  using M = I;
  static FASTINIT_INLINE M less(F a, F b) { return a < b; }
  static FASTINIT_INLINE M nonzero(U x) { return x != 0; }
  static FASTINIT_INLINE F select(M m, F a, F b) { return m ? a : b; }
  static FASTINIT_INLINE F min(F a, F b) { return a < b ? a : b; }
  static FASTINIT_INLINE F max(F a, F b) { return a > b ? a : b; }
#endif
  static FASTINIT_INLINE bool any(M m) {
#if FASTINIT_V4
    return m != 0;
#elif FASTINIT_V3
    return _mm256_movemask_ps((__m256)m) != 0;
#elif FASTINIT_SSE2
    return _mm_movemask_ps((__m128)m) != 0;
#else
    const I64 pair = (I64)m;
    return (pair[0] | pair[1]) != 0;
#endif
  }
};

struct Lane64 {
  using T = double;
  using F = F64;
  using U = U64;
  using I = I64;

  static FASTINIT_INLINE F splat(double x) { return x - F{}; }
  static FASTINIT_INLINE U splat_u(uint64_t x) { return U{} + x; }
  // Without a 64-bit conversion: the high and low halves become the low bits of doubles near 2^84 (2^52); taking the
  // constants off is exact, and adding the halves rounds once.
  static constexpr double kUnsignedBias = 0x1p84 + 0x1p52;
  static constexpr double kSignedBias = 0x1p84 + 0x1p63 + 0x1p52;
  static FASTINIT_INLINE F from_signed(I x) {
#if FASTINIT_V4
    return (F)_mm512_cvtepi64_pd((__m512i)x);
#elif FASTINIT_NEON
    return (F)vcvtq_f64_s64((int64x2_t)x);
#else
    const U u = (U)x;
    const F high = (F)((u >> 32) ^ 0x4530000080000000ull) - kSignedBias;
    return high + (F)((u & 0xffffffffull) | 0x4330000000000000ull);
#endif
  }
  static FASTINIT_INLINE F from_signed_small(I x) {
#if FASTINIT_V4 || FASTINIT_NEON
    return from_signed(x);
#else
    return (F)(x + 0x4338000000000000ll) - 0x1.8p52;
#endif
  }
  static FASTINIT_INLINE F from_unsigned(U x) {
#if FASTINIT_V4
    return (F)_mm512_cvtepu64_pd((__m512i)x);
#elif FASTINIT_NEON
    return (F)vcvtq_f64_u64((uint64x2_t)x);
#else
    const F high = (F)((x >> 32) | 0x4530000000000000ull) - kUnsignedBias;
    return high + (F)((x & 0xffffffffull) | 0x4330000000000000ull);
#endif
  }
  static FASTINIT_INLINE U bits(F x) { return (U)x; }
  static FASTINIT_INLINE F from_bits(U x) { return (F)x; }
  static FASTINIT_INLINE I as_signed(U x) { return (I)x; }
  static FASTINIT_INLINE U as_unsigned(I x) { return (U)x; }
  static FASTINIT_INLINE F fma(F a, F b, F c) {
#if FASTINIT_V4
    return (F)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif FASTINIT_V3
    return (F)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif FASTINIT_NEON
    return (F)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    F r;
    for (int i = 0; i < kLanes64; ++i) r[i] = ::fma(a[i], b[i], c[i]);
    return r;
#endif
  }
  static FASTINIT_INLINE F sqrt(F x) {
#if FASTINIT_V4
    return (F)_mm512_sqrt_pd((__m512d)x);
#elif FASTINIT_V3
    return (F)_mm256_sqrt_pd((__m256d)x);
#elif FASTINIT_SSE2
    return (F)_mm_sqrt_pd((__m128d)x);
#elif FASTINIT_NEON
    return (F)vsqrtq_f64((float64x2_t)x);
#else
    F r;
    for (int i = 0; i < kLanes64; ++i) r[i] = ::sqrt(x[i]);
    return r;
#endif
  }
  using M = I;
  static FASTINIT_INLINE M less(F a, F b) { return a < b; }
  static FASTINIT_INLINE M nonzero(U x) { return x != 0; }
  static FASTINIT_INLINE F select(M m, F a, F b) { return m ? a : b; }
  static FASTINIT_INLINE F min(F a, F b) { return a < b ? a : b; }
  static FASTINIT_INLINE F max(F a, F b) { return a > b ? a : b; }
  static FASTINIT_INLINE bool any(M m) {
    int64_t w = 0;
    for (int i = 0; i < kLanes64; ++i) w |= m[i];
    return w != 0;
  }
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
