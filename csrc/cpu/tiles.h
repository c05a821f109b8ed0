// One tile of a panel: generate its values in logical order into a buffer, then write them along memory.
#pragma once

#include "../stream/panels.h"
#include "engine.h"

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
  int blocks;
  uint64_t last;  // the block listed last

  void clear() {
    blocks = 0;
    last = ~uint64_t{0};  // no index reaches this one
  }

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

// Four rows of four values to four columns.
FASTINIT_INLINE void transpose(Quad& q0, Quad& q1, Quad& q2, Quad& q3) {
  const Quad a = FASTINIT_SHUFFLE(q0, q1, 0, 4, 1, 5), b = FASTINIT_SHUFFLE(q0, q1, 2, 6, 3, 7);
  const Quad c = FASTINIT_SHUFFLE(q2, q3, 0, 4, 1, 5), d = FASTINIT_SHUFFLE(q2, q3, 2, 6, 3, 7);
  q0 = FASTINIT_SHUFFLE(a, c, 0, 1, 4, 5);
  q1 = FASTINIT_SHUFFLE(a, c, 2, 3, 6, 7);
  q2 = FASTINIT_SHUFFLE(b, d, 0, 1, 4, 5);
  q3 = FASTINIT_SHUFFLE(b, d, 2, 3, 6, 7);
}

// Columns of the tile to runs of memory: four columns by sixteen rows at a time through registers, so that a line of
// float32 is written whole; with Stream around the cache, which saves reading the line first.
template <class Out, bool Stream>
void write_transposed(const float* values, const int* start, int64_t rows, int64_t cols, typename Out::T* dst,
                      int64_t col_stride) {
  constexpr int64_t quads = 4;
  int64_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    int64_t r = 0;
    for (; r + 4 * quads <= rows; r += 4 * quads) {
      Quad q[4][quads];  // [column][rows]
      for (int k = 0; k < quads; ++k) {
        const int* s = start + r + 4 * k;
        for (int i = 0; i < 4; ++i) q[i][k] = load<Quad>(values + s[i] + c);
        transpose(q[0][k], q[1][k], q[2][k], q[3][k]);
      }
      for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < quads; ++k) Out::template store4<Stream>(dst + (c + i) * col_stride + r + 4 * k, q[i][k]);
      }
    }
    for (; r < rows; ++r) {
      for (int k = 0; k < 4; ++k) dst[(c + k) * col_stride + r] = Out::narrow(values[start[r] + c + k]);
    }
  }
  for (; c < cols; ++c) {
    for (int64_t r = 0; r < rows; ++r) dst[c * col_stride + r] = Out::narrow(values[start[r] + c]);
  }
}

// The values of one tile in logical order: run k starts at values[list.start[k]].
template <class T>
struct TileValues {
  BlockList<kPerBlock<T>> list;
  T values[BlockList<kPerBlock<T>>::kBlocks * kPerBlock<T>];

  // Lists the blocks; the caller then has them filled.
  void lay_out(const Philox& philox, const Panels& p, const Panels::Tile& t, int64_t origin) {
    list.clear();
    if (p.col.index == 1 && p.row.index == t.cols) {
      // Rows that follow each other in the stream, as in a channels-last convolution: one run for all.
      list.add(philox, 0, static_cast<uint64_t>(origin + t.index), static_cast<uint64_t>(t.rows * t.cols));
      for (int r = 1; r < t.rows; ++r) list.start[r] = list.start[0] + r * static_cast<int>(t.cols);
      return;
    }
    int run = 0;
    for (int64_t r = 0; r < t.rows; ++r) {
      const uint64_t index = static_cast<uint64_t>(origin + t.index + r * p.row.index);
      if (p.col.index == 1) {
        list.add(philox, run++, index, static_cast<uint64_t>(t.cols));
      } else {
        for (int64_t c = 0; c < t.cols; ++c) {
          list.add(philox, run++, index + static_cast<uint64_t>(c * p.col.index), 1);
        }
      }
    }
  }
};

// Writes a tile's values to memory at `dst`.
template <class Out, class T>
void write_tile(const TileValues<T>& v, const Panels& p, const Panels::Tile& t, typename Out::T* dst) {
  const int* const start = v.list.start;
  const bool whole_rows = p.col.index == 1;
  if constexpr (sizeof(T) == 4) {
    if (whole_rows && p.row.memory == 1) {
      // Stores around the cache want 16-byte alignment, which all columns share or none has.
      const bool aligned = reinterpret_cast<uintptr_t>(dst) % 16 == 0 && p.col.memory * sizeof(*dst) % 16 == 0;
      if (p.large && aligned) return write_transposed<Out, true>(v.values, start, t.rows, t.cols, dst, p.col.memory);
      return write_transposed<Out, false>(v.values, start, t.rows, t.cols, dst, p.col.memory);
    }
  }
  for (int64_t r = 0; r < t.rows; ++r) {
    for (int64_t c = 0; c < t.cols; ++c) {
      const T x = whole_rows ? v.values[start[r] + c] : v.values[start[r * t.cols + c]];
      dst[r * p.row.memory + c * p.col.memory] = Out::narrow(x);
    }
  }
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
