// The zeros of a sparse matrix: in each column the rows with the smallest words (stream/sparse.h says which).
//
// A thread block finds a column's cut by radix selection, a byte at a time from the top, over words that it makes anew on
// every walk: nothing of the column's size is stored.
#include "fill.h"
#include "launch.h"

namespace fastinit::cuda {
namespace {

using Count = unsigned long long;  // as atomicAdd names 64 bits
constexpr int kBins = 256;

// Calls f(row, word) for this thread's share of the column's first `rows` rows, or with one thread alone for all, in
// order.
template <class F>
FASTINIT_HD void walk(const SparseFill& s, const Key& key, int64_t column, int64_t rows, uint32_t thread,
                      uint32_t threads, F&& f) {
  const int64_t first = column * s.global_rows;
  const int64_t last = first + rows;
  for (int64_t block = first / 4 + thread; block * 4 < last; block += threads) {
    const Words words = stream_block(key, static_cast<uint64_t>(block), Domain::SparseOrder);
    FASTINIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t word = block * 4 + i;
      if (word >= first && word < last) f(word - first, words.w[i]);
    }
  }
}

FASTINIT_HD void zero(const SparseFill& s, int64_t column, int64_t row) {
  if (row < s.first_row) return;
  char* const at = s.data + (row - s.first_row) * s.row_stride + (column - s.first_column) * s.column_stride;
  for (int i = 0; i < s.item_size; ++i) at[i] = 0;
}

struct SparseParams {
  SparseFill fill;
  Captured captured;
};

__global__ void __launch_bounds__(kThreads) clear_columns(const SparseParams __grid_constant__ p) {
  __shared__ Count histogram[kBins];
  __shared__ uint32_t cut;  // the known bytes of the greatest word that is zeroed
  __shared__ Count wanted;  // how many of the words that begin with them are
  const uint32_t thread = threadIdx.x;
  const SparseFill& s = p.fill;
  const Key key = resolve(s.key, p.captured);
  for (int64_t c = blockIdx.x; c < s.columns; c += gridDim.x) {
    const int64_t column = s.first_column + c;
    __syncthreads();
    if (thread == 0) {
      cut = 0;
      wanted = static_cast<Count>(s.zeros);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
      const uint32_t known = shift == 24 ? 0 : ~uint32_t{0} << (shift + 8);
      for (uint32_t bin = thread; bin < kBins; bin += kThreads) histogram[bin] = 0;
      __syncthreads();
      walk(s, key, column, s.global_rows, thread, kThreads, [&](int64_t, uint32_t word) {
        if ((word & known) == cut) atomicAdd(&histogram[word >> shift & 0xff], Count{1});
      });
      __syncthreads();
      if (thread == 0) {
        uint32_t byte = 0;
        while (wanted > histogram[byte]) wanted -= histogram[byte++];
        cut |= byte << shift;
      }
      __syncthreads();
    }
    // Words equal to the cut count from the first row on. Nearly always all of them do, and order does not matter.
    const int64_t end = s.first_row + s.rows;
    const bool all_equal = wanted == histogram[cut & 0xff];
    walk(s, key, column, end, thread, kThreads, [&](int64_t row, uint32_t word) {
      if (word < cut || (word == cut && all_equal)) zero(s, column, row);
    });
    if (all_equal || thread != 0) continue;
    Count left = wanted;
    walk(s, key, column, end, 0, 1, [&](int64_t row, uint32_t word) {
      if (word != cut || left == 0) return;
      --left;
      zero(s, column, row);
    });
  }
}

}  // namespace

void clear(const SparseFill& s, const Captured& captured, cudaStream_t stream) {
  if (s.zeros == 0 || s.columns == 0 || s.rows == 0) return;
  launch(clear_columns, std::min<int64_t>(s.columns, processors() * 64), stream, SparseParams{s, captured});
}

}  // namespace fastinit::cuda
