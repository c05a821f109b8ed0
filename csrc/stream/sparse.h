// The description of the zeros of a sparse matrix.
#pragma once

#include "philox.h"

namespace fastinit {

// Of each column the `zeros` elements with the smallest words are zero, the earlier row first among equal words. Word
// (row, column) is word column * global_rows + row of the key's SparseOrder domain: the choice is a pure function of the
// key and the global shape, and every set of that many rows is equally likely.
struct SparseFill {
  Key key;
  int64_t global_rows;
  int64_t zeros;            // of a column, in [0, global_rows]
  int64_t first_row, rows;  // that are in memory
  int64_t first_column, columns;
  char* data;  // of their first element; strides in bytes
  int64_t row_stride, column_stride;
  int item_size;
};

}  // namespace fastinit
