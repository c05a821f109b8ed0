// Which matrices the kernel in reflect.h takes, and what it needs for them.
#pragma once

#include "../stream/matrices.h"

namespace fastinit {

constexpr int64_t kSmallSide = 128;  // the shorter one's limit
constexpr int64_t kSmallPanel = 64;  // columns that are made at a time
// Above this many elements the work leaves the cache, and blocks of reflectors are faster (DEVNOTES.md).
constexpr int64_t kSmallElements = 1 << 14;

inline bool is_small(const SmallMatrices& s) {
  return s.shorter() <= kSmallSide && s.rows * s.columns <= kSmallElements;
}

// Bytes of scratch that one thread needs, best at a multiple of 64.
inline int64_t small_scratch_bytes(const SmallMatrices& s) {
  const int64_t length = (s.longer() + 15) / 16 * 16;
  const int64_t numbers = (s.complex ? 2 : 1) * length * (s.shorter() + kSmallPanel);
  return numbers * (s.wide ? 8 : 4);
}

}  // namespace fastinit
