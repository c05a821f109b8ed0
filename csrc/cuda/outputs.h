// Where values end on a device: how those of a few Philox blocks are rounded and packed into 16 bytes.
#pragma once

#include "../stream/formats.h"

namespace fastinit::cuda {

// What one thread stores at once: always 16 aligned bytes.
struct alignas(16) Packed {
  uint32_t w[4];
};

// Two values to 16-bit codes, the first in the low half: one instruction where the device has it.
FASTINIT_HD uint32_t pack_bf16(float a, float b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(b), "f"(a));
  return both;
#else
  return encode_bf16(a) | encode_bf16(b) << 16;
#endif
}

FASTINIT_HD uint32_t pack_f16(float a, float b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(b), "f"(a));
  return both;
#elif defined(__CUDA_ARCH__)
  uint16_t low, high;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(low) : "f"(a));
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(high) : "f"(b));
  return low | uint32_t{high} << 16;
#else
  return NarrowF16::encode(a) | NarrowF16::encode(b) << 16;
#endif
}

// Each output: the type it computes in, its bytes, and `pack`, from 16 / kItem values to 16 bytes. `dtype` tells the
// four 8-bit formats apart, which share their kernels.

struct OutF32 {
  using T = float;
  static constexpr int kItem = 4;
  static FASTINIT_HD Packed pack(const float (&v)[4], DType) {
    Packed p;
    memcpy(&p, v, sizeof p);
    return p;
  }
};

struct OutF64 {
  using T = double;
  static constexpr int kItem = 8;
  static FASTINIT_HD Packed pack(const double (&v)[2], DType) {
    Packed p;
    memcpy(&p, v, sizeof p);
    return p;
  }
};

struct OutBF16 {
  using T = float;
  static constexpr int kItem = 2;
  static FASTINIT_HD Packed pack(const float (&v)[8], DType) {
    return {{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7])}};
  }
};

struct OutF16 {
  using T = float;
  static constexpr int kItem = 2;
  static FASTINIT_HD Packed pack(const float (&v)[8], DType) {
    return {{pack_f16(v[0], v[1]), pack_f16(v[2], v[3]), pack_f16(v[4], v[5]), pack_f16(v[6], v[7])}};
  }
};

struct OutF8 {
  using T = float;
  static constexpr int kItem = 1;
  static FASTINIT_HD Packed pack(const float (&v)[16], DType dtype) {
    switch (dtype) {
      case DType::E4M3FN:
        return pack_as<NarrowE4M3FN>(v);
      case DType::E5M2:
        return pack_as<NarrowE5M2>(v);
      case DType::E4M3FNUZ:
        return pack_as<NarrowE4M3FNUZ>(v);
      default:
        return pack_as<NarrowE5M2FNUZ>(v);
    }
  }

 private:
  template <class Narrow>
  static FASTINIT_HD Packed pack_as(const float (&v)[16]) {
    Packed p{};
    FASTINIT_UNROLL
    for (int i = 0; i < 16; ++i) p.w[i / 4] |= Narrow::encode(v[i]) << (8 * (i % 4));
    return p;
  }
};

// One value to the code of its type, for stores an element at a time.
FASTINIT_HD uint32_t code_of(float v, DType dtype) {
  switch (dtype) {
    case DType::BF16:
      return pack_bf16(v, 0.0f) & 0xffffu;
    case DType::F16:
      return pack_f16(v, 0.0f) & 0xffffu;
    case DType::E4M3FN:
      return NarrowE4M3FN::encode(v);
    case DType::E5M2:
      return NarrowE5M2::encode(v);
    case DType::E4M3FNUZ:
      return NarrowE4M3FNUZ::encode(v);
    case DType::E5M2FNUZ:
      return NarrowE5M2FNUZ::encode(v);
    default:
      return ScalarF32::bits(v);
  }
}

// Items [from, to) of 16 bytes to memory that need not be aligned to more than an item. (The indices are constants after
// unrolling, so `p` stays in registers.)
template <int Item>
FASTINIT_HD void store_items(char* to_memory, const Packed& p, int from, int to) {
  FASTINIT_UNROLL
  for (int i = 0; i < 16 / Item; ++i) {
    if (i < from || i >= to) continue;
    if constexpr (Item == 8) {
      const uint64_t item = p.w[2 * i] | uint64_t{p.w[2 * i + 1]} << 32;
      *reinterpret_cast<uint64_t*>(to_memory + 8 * i) = item;
    } else if constexpr (Item == 4) {
      *reinterpret_cast<uint32_t*>(to_memory + 4 * i) = p.w[i];
    } else if constexpr (Item == 2) {
      *reinterpret_cast<uint16_t*>(to_memory + 2 * i) = static_cast<uint16_t>(p.w[i / 2] >> (16 * (i % 2)));
    } else {
      to_memory[i] = static_cast<char>(p.w[i / 4] >> (8 * (i % 4)));
    }
  }
}

}  // namespace fastinit::cuda
