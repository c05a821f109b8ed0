// Many small Gaussian matrices to be turned into orthogonal ones: what the kernel in reflect.h is told.
#pragma once

#include <cstdint>

namespace fastinit {

// `count` matrices start `stride` numbers apart (a complex element is two numbers) and hold rows x columns
// elements each, row by row. min(rows, columns) is at most kSmallSide.
struct SmallMatrices {
  void* data;
  int64_t count;
  int64_t rows;
  int64_t columns;
  int64_t stride;
  bool wide;     // float64 rather than float32
  bool complex;  // pairs of numbers
  bool special;  // determinant 1 (square matrices)
  double gain;

  int64_t longer() const { return rows > columns ? rows : columns; }
  int64_t shorter() const { return rows > columns ? columns : rows; }
};

constexpr int64_t kSmallSide = 128;
constexpr int64_t kSmallPanel = 64;  // columns that are made at a time
// Above this many elements the work leaves the cache, and blocks of reflectors are faster (DEVNOTES.md).
constexpr int64_t kSmallElements = 1 << 14;

// Bytes of scratch that one thread needs, best at a multiple of 64.
inline int64_t small_scratch_bytes(const SmallMatrices& s) {
  const int64_t length = (s.longer() + 15) / 16 * 16;
  const int64_t numbers = (s.complex ? 2 : 1) * length * (s.shorter() + kSmallPanel);
  return numbers * (s.wide ? 8 : 4);
}

}  // namespace fastinit
