// Where values end: one struct a number format, each storing a whole step of the engine, four values, or one.
#pragma once

#include "../stream/formats.h"
#include "words.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

typedef float Quad __attribute__((vector_size(16)));

// `store` takes a step: x holds elements (0, 2) and y elements (1, 3) of the block in each 64-bit lane.

struct OutF32 {
  using T = float;
  using Lane = Lane32;
  static constexpr Order order = Order::Interleaved;
  static FASTINIT_INLINE void store(T* p, F32 x, F32 y) {
    FASTINIT_ISA_NAMESPACE::store(p, interleave_lower(x, y));
    FASTINIT_ISA_NAMESPACE::store(p + kLanes32, interleave_upper(x, y));
  }
  template <bool Stream>
  static FASTINIT_INLINE void store4(T* p, Quad v) {
#if defined(__SSE2__)
    if constexpr (Stream) return _mm_stream_ps(p, (__m128)v);
#endif
    std::memcpy(p, &v, sizeof v);
  }
  static FASTINIT_INLINE T narrow(float v) { return v; }
};

struct OutF64 {
  using T = double;
  using Lane = Lane64;
  static constexpr Order order = Order::Interleaved;
  // Here x is element 0 and y element 1 of the block.
  static FASTINIT_INLINE void store(T* p, F64 x, F64 y) {
    FASTINIT_ISA_NAMESPACE::store(p, interleave_lower(x, y));
    FASTINIT_ISA_NAMESPACE::store(p + kLanes64, interleave_upper(x, y));
  }
  static FASTINIT_INLINE T narrow(double v) { return v; }
};

struct OutBF16 {
  using T = uint16_t;
  using Lane = Lane32;
  static constexpr Order order = Order::Natural;
  static FASTINIT_INLINE U32 rounded(F32 v) {
    const U32 b = (U32)v;
    return b + 0x7fffu + ((b >> 16) & 1u);
  }
  static FASTINIT_INLINE void store(T* p, F32 x, F32 y) {
    FASTINIT_ISA_NAMESPACE::store(p, (rounded(x) >> 16) | (rounded(y) & 0xffff0000u));
  }
  static FASTINIT_INLINE T narrow(float v) { return static_cast<T>(encode_bf16(v)); }
  template <bool>
  static FASTINIT_INLINE void store4(T* p, Quad v) {
    for (int i = 0; i < 4; ++i) p[i] = narrow(v[i]);
  }
};

struct OutF16 {
  using T = uint16_t;
  using Lane = Lane32;
  static constexpr Order order = Order::Natural;
  static FASTINIT_INLINE U32 codes(F32 v) {
#if FASTINIT_V4
    return (U32)_mm512_cvtepu16_epi32(_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif FASTINIT_V3
    return (U32)_mm256_cvtepu16_epi32(_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
    U32 r;
    for (int i = 0; i < kLanes32; ++i) r[i] = NarrowF16::encode(v[i]);
    return r;
#endif
  }
  static FASTINIT_INLINE void store(T* p, F32 x, F32 y) { FASTINIT_ISA_NAMESPACE::store(p, codes(x) | codes(y) << 16); }
  static FASTINIT_INLINE T narrow(float v) { return static_cast<T>(NarrowF16::encode(v)); }
  template <bool>
  static FASTINIT_INLINE void store4(T* p, Quad v) {
    for (int i = 0; i < 4; ++i) p[i] = narrow(v[i]);
  }
};

// 8-bit formats are rounded from a buffer of float32 (engine.h), so they need no vector form.
template <class Narrow>
struct OutF8 {
  using T = uint8_t;
  static FASTINIT_INLINE T narrow(float v) { return static_cast<T>(Narrow::encode(v)); }
  template <bool>
  static FASTINIT_INLINE void store4(T* p, Quad v) {
    for (int i = 0; i < 4; ++i) p[i] = narrow(v[i]);
  }
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
