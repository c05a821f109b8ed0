// The description of many small Gaussian matrices that are to be made orthogonal: docs/stream.md, section 4.9.
#pragma once

#include <cstdint>

namespace fastinit {

// `count` matrices start `stride` numbers apart (a complex element is two numbers) and hold rows x columns elements each,
// row by row.
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

}  // namespace fastinit
