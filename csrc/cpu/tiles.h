// One tile of a panel: generate its values in logical order into a buffer, then write them along memory.
#pragma once

#include "engine.h"
#include "panels.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

// The blocks that hold a tile's elements, each listed once, and where each run of the tile starts among their elements.
// A run is a row of the tile where its elements are consecutive in the stream, else a single element.
template <int PerBlock>
struct BlockList {
  // A run of n elements touches at most (n - 1) / PerBlock + 2 blocks.
  static constexpr int kRuns = Panels::kTileElements;
  static constexpr int kBlocks = Panels::kTileElements / PerBlock + 2 * Panels::kTileRows + 2 * kLanes64;
  uint64_t counters[kBlocks];
  int start[kRuns];
  int blocks = 0;
  uint64_t last = ~uint64_t{0};  // the block listed last; no index reaches this one

  FASTINIT_INLINE void add(const Philox& philox, int run, uint64_t index, uint64_t length) {
    const uint64_t first = index / PerBlock;
    const int shared = first == last;
    last = (index + length - 1) / PerBlock;
    start[run] = (blocks - shared) * PerBlock + static_cast<int>(index % PerBlock);
    const int more = static_cast<int>(last - first) + 1 - shared;
    // Whole vectors; what sticks out is overwritten by the next run, or lies in the slack at the end.
    U64 c = lane_blocks(Order::Natural) + philox.counter(first + shared);
    for (int k = 0; k < more; k += kLanes64, c += kLanes64) store(counters + blocks + k, c);
    blocks += more;
  }

  int padded() {
    const int whole = (blocks + kLanes64 - 1) / kLanes64 * kLanes64;
    for (int b = blocks; b < whole; ++b) counters[b] = counters[blocks - 1];
    return whole;
  }
};

// Columns of the tile to runs of memory: four rows by four columns at a time through registers.
template <class Out>
void write_transposed(const float* values, const int* start, int64_t rows, int64_t cols, typename Out::T* dst,
                      int64_t col_stride) {
  int64_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const Quad q0 = load<Quad>(values + start[r] + c), q1 = load<Quad>(values + start[r + 1] + c);
      const Quad q2 = load<Quad>(values + start[r + 2] + c), q3 = load<Quad>(values + start[r + 3] + c);
      const Quad a = __builtin_shufflevector(q0, q1, 0, 4, 1, 5), b = __builtin_shufflevector(q0, q1, 2, 6, 3, 7);
      const Quad e = __builtin_shufflevector(q2, q3, 0, 4, 1, 5), f = __builtin_shufflevector(q2, q3, 2, 6, 3, 7);
      Out::store4(dst + c * col_stride + r, __builtin_shufflevector(a, e, 0, 1, 4, 5));
      Out::store4(dst + (c + 1) * col_stride + r, __builtin_shufflevector(a, e, 2, 3, 6, 7));
      Out::store4(dst + (c + 2) * col_stride + r, __builtin_shufflevector(b, f, 0, 1, 4, 5));
      Out::store4(dst + (c + 3) * col_stride + r, __builtin_shufflevector(b, f, 2, 3, 6, 7));
    }
    for (; r < rows; ++r) {
      for (int k = 0; k < 4; ++k) dst[(c + k) * col_stride + r] = Out::narrow(values[start[r] + c + k]);
    }
  }
  for (; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) dst[c * col_stride + r] = Out::narrow(values[start[r] + c]);
  }
}

// Asks for the lines that a transposed tile will write, before its values are made: the columns of a tile lie too far
// apart for the hardware to see them coming.
template <class T>
void prefetch_columns(const Panels::Tile& t, int64_t col_stride, T* dst) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t c = 0; c < t.cols; ++c) {
    for (int64_t r = 0; r < t.rows; r += line) __builtin_prefetch(dst + c * col_stride + r, 1);
  }
}

template <class Out, class Values, class D>
void fill_tile(const D& d, const Philox& philox, const Panels& p, const Panels::Tile& t, int64_t origin,
               typename Out::T* data) {
  using T = typename Values::T;
  constexpr int per_block = kPerBlock<T>;
  BlockList<per_block> list;
  const bool whole_rows = p.col.index == 1;
  int run = 0;
  for (int64_t r = 0; r < t.rows; ++r) {
    const uint64_t index = static_cast<uint64_t>(origin + t.index + r * p.row.index);
    if (whole_rows) {
      list.add(philox, run++, index, t.cols);
    } else {
      for (int64_t c = 0; c < t.cols; ++c) list.add(philox, run++, index + static_cast<uint64_t>(c * p.col.index), 1);
    }
  }
  if (whole_rows && p.row.memory == 1) prefetch_columns(t, p.col.memory, data + t.memory);
  T values[BlockList<per_block>::kBlocks * per_block];
  fill_listed<Values>(d, philox, list.counters, list.padded(), values);

  typename Out::T* dst = data + t.memory;
  if constexpr (sizeof(T) == 4) {
    if (whole_rows && p.row.memory == 1) {
      return write_transposed<Out>(values, list.start, t.rows, t.cols, dst, p.col.memory);
    }
  }
  for (int64_t r = 0; r < t.rows; ++r) {
    for (int64_t c = 0; c < t.cols; ++c) {
      const T v = whole_rows ? values[list.start[r] + c] : values[list.start[r * t.cols + c]];
      dst[r * p.row.memory + c * p.col.memory] = Out::narrow(v);
    }
  }
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
