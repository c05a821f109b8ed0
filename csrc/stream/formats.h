// The number formats a fill can end in: how float32 rounds to each, and which numbers each can hold.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "platform.h"

namespace fastinit {

enum class DType : uint8_t { F32, F64, F16, BF16, E4M3FN, E5M2, E4M3FNUZ, E5M2FNUZ };

constexpr int item_size(DType t) {
  return t == DType::F64 ? 8 : t == DType::F32 ? 4 : (t == DType::F16 || t == DType::BF16) ? 2 : 1;
}

// Significand bits (with the hidden one), the exponent of the least normal number, and the greatest finite number.
struct Format {
  int precision;
  int min_exponent;
  double max;
  bool infinity;
};

inline Format format_of(DType t) {
  switch (t) {
    case DType::F64:
      return {53, -1022, std::numeric_limits<double>::max(), true};
    case DType::F32:
      return {24, -126, std::numeric_limits<float>::max(), true};
    case DType::F16:
      return {11, -14, 65504.0, true};
    case DType::BF16:
      return {8, -126, 0x1.fep127, true};
    case DType::E4M3FN:
      return {4, -6, 448.0, false};
    case DType::E5M2:
      return {3, -14, 57344.0, true};
    case DType::E4M3FNUZ:
      return {4, -7, 240.0, false};
    case DType::E5M2FNUZ:
      return {3, -15, 57344.0, false};
  }
  return {};
}

// The distance between neighbours of the format at |x|, as a power of two.
inline int step_exponent(double x, const Format& f) {
  int e = 0;
  std::frexp(x, &e);  // |x| in [2^(e-1), 2^e)
  return (x != 0.0 && e - 1 > f.min_exponent ? e - 1 : f.min_exponent) - (f.precision - 1);
}

// The greatest number of the format that is <= x; -infinity (or the least finite) where there is none.
inline double round_down(double x, const Format& f) {
  if (std::isnan(x)) return x;
  if (x > f.max) return std::isinf(x) && f.infinity ? x : f.max;
  if (x < -f.max) return f.infinity ? -std::numeric_limits<double>::infinity() : -f.max;
  const int step = step_exponent(x, f);
  return std::ldexp(std::floor(std::ldexp(x, -step)), step);
}

inline double round_up(double x, const Format& f) { return -round_down(-x, f); }

// The next number of the format below one of its numbers.
inline double predecessor(double x, const Format& f) {
  if (f.precision == 53) return std::nextafter(x, -std::numeric_limits<double>::infinity());
  // Not by way of nextafter: below 0 that is a subnormal double, which the caller's mode may flush.
  return round_down(x - std::ldexp(1.0, step_exponent(x, f) - 2), f);
}

// To nearest, ties to even; an infinity beyond the greatest number, whether or not the format has one.
inline double round_nearest(double x, const Format& f) {
  if (std::isnan(x) || std::isinf(x)) return x;
  const int step = step_exponent(x, f);
  const double scaled = std::ldexp(x, -step);
  const double below = std::floor(scaled);
  const double rest = scaled - below;
  const bool up = rest > 0.5 || (rest == 0.5 && 0.5 * below != std::floor(0.5 * below));
  const double rounded = std::copysign(std::ldexp(below + (up ? 1.0 : 0.0), step), x);  // -0 keeps its sign
  if (std::fabs(rounded) <= f.max) return rounded;
  return std::copysign(std::numeric_limits<double>::infinity(), x);
}

// float32 bits to the code of an 8- or 16-bit format, to nearest even, by integer operations alone (plus one addition
// that aligns subnormal results). U is a vector or scalar of unsigned 32-bit lanes.
template <int ExponentBits, int MantissaBits, bool Fnuz, bool Infinity>
struct Narrowing {
  static constexpr int bias = (1 << (ExponentBits - 1)) - (Fnuz ? 0 : 1);
  static constexpr int drop = 23 - MantissaBits;
  static constexpr uint32_t rebias = static_cast<uint32_t>(127 - bias) << MantissaBits;
  static constexpr uint32_t least_normal = static_cast<uint32_t>(127 - bias + 1) << 23;
  // The float whose last place is the format's subnormal step: adding it aligns, and rounds to even.
  static constexpr uint32_t align = static_cast<uint32_t>(127 + 1 - bias - MantissaBits + 23) << 23;
  static constexpr uint32_t sign = 1u << (ExponentBits + MantissaBits);
  static constexpr uint32_t infinity = ((1u << ExponentBits) - 1) << MantissaBits;
  static constexpr uint32_t nan = Fnuz ? sign : Infinity ? infinity | 1u << (MantissaBits - 1) : sign - 1;
  // The first code past the finite ones: what overflow becomes.
  static constexpr uint32_t overflow = Fnuz ? sign : Infinity ? infinity : sign - 1;

  static FASTINIT_HD uint32_t encode(float value) {
    uint32_t b;
    memcpy(&b, &value, 4);
    const uint32_t a = b & 0x7fffffffu;
    uint32_t code;
    if (a > 0x7f800000u) return nan;
    if (a < least_normal) {
      float x, magic;
      const uint32_t m = align;
      memcpy(&x, &a, 4);
      memcpy(&magic, &m, 4);
      x += magic;
      memcpy(&code, &x, 4);
      code -= align;
    } else {
      code = ((a + ((1u << (drop - 1)) - 1) + ((a >> drop) & 1u)) >> drop) - rebias;
      if (code >= overflow) code = overflow;
    }
    if (Fnuz) return code == 0 || code == sign ? code : code | (b >> 31) * sign;  // no negative zero
    return code | (b >> 31) * sign;
  }
};

using NarrowF16 = Narrowing<5, 10, false, true>;
using NarrowE4M3FN = Narrowing<4, 3, false, false>;
using NarrowE5M2 = Narrowing<5, 2, false, true>;
using NarrowE4M3FNUZ = Narrowing<4, 3, true, false>;
using NarrowE5M2FNUZ = Narrowing<5, 2, true, false>;

FASTINIT_HD uint32_t encode_bf16(float value) {
  uint32_t b;
  memcpy(&b, &value, 4);
  if ((b & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
  return (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
}

}  // namespace fastinit
