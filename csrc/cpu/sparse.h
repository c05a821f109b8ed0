// The zeros of a sparse matrix, on the CPU.
#pragma once

#include "../stream/sparse.h"

namespace fastinit {

// Writes those of local columns [begin, end). Nothing of a column's size is stored.
void clear_columns(const SparseFill& s, int64_t begin, int64_t end);

}  // namespace fastinit
