// Which elements of a column are zero in a sparse initialization.
#pragma once

#include <cstdint>

#include "../stream/philox.h"

namespace fastinit {

// The `zeros` elements of a column with the smallest words are zero, the earlier row first among equal words. Word
// (row, column) is word column * rows + row of the key's SparseOrder domain: the choice is a pure function of the key
// and the global shape, every set of that many rows is equally likely, and nothing of the column's size is stored.
struct SparseColumns {
  Key key;
  int64_t rows;   // of the global matrix
  int64_t zeros;  // in [0, rows]

  // Zeroes those of rows [first, first + count) of a global column that are chosen; element (first + i) lies at
  // data + i * stride, strides and sizes in bytes.
  void clear(int64_t column, int64_t first, int64_t count, char* data, int64_t stride, int item_size) const;
};

}  // namespace fastinit
