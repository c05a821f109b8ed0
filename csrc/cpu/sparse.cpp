#include "sparse.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"

namespace fastinit {
namespace {

constexpr int64_t kChunk = 4096;

// Calls f(row, word) for the first rows of a column, in order; the words are made again on every walk, a chunk at a time.
template <class F>
void walk(const SparseFill& s, int64_t column, int64_t rows, F&& f) {
  uint32_t words[kChunk];
  for (int64_t at = 0; at < rows; at += kChunk) {
    const int64_t n = std::min(kChunk, rows - at);
    kernels().words(s.key, Domain::SparseOrder, column * s.global_rows + at, n, words);
    for (int64_t i = 0; i < n; ++i) f(at + i, words[i]);
  }
}

// The zeros-th smallest word, a byte at a time from the top (radix selection), and how many of those equal to it count.
struct Cut {
  uint32_t word;
  int64_t equal;
};

Cut find_cut(const SparseFill& s, int64_t column) {
  Cut cut{0, s.zeros};
  for (int shift = 24; shift >= 0; shift -= 8) {
    int64_t histogram[256] = {};
    const uint32_t known = shift == 24 ? 0 : ~uint32_t{0} << (shift + 8);
    walk(s, column, s.global_rows, [&](int64_t, uint32_t w) {
      if ((w & known) == cut.word) ++histogram[(w >> shift) & 0xff];
    });
    uint32_t byte = 0;
    while (cut.equal > histogram[byte]) cut.equal -= histogram[byte++];
    cut.word |= byte << shift;
  }
  return cut;
}

}  // namespace

void clear_columns(const SparseFill& s, int64_t begin, int64_t end) {
  if (s.zeros == 0) return;
  for (int64_t c = begin; c < end; ++c) {
    Cut cut = find_cut(s, s.first_column + c);
    char* const data = s.data + c * s.column_stride;
    walk(s, s.first_column + c, s.first_row + s.rows, [&](int64_t row, uint32_t w) {
      if (w > cut.word || (w == cut.word && cut.equal-- <= 0)) return;
      if (row < s.first_row) return;
      std::memset(data + (row - s.first_row) * s.row_stride, 0, static_cast<size_t>(s.item_size));
    });
  }
}

}  // namespace fastinit
