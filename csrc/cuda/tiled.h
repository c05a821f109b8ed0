// Fills of any other layout: strided, transposed, slices across the logical order.
//
// The panels and tiles are those of the CPU (stream/panels.h), a tile to a thread block at a time. A thread makes one
// Philox block, four consecutive elements of a row of the tile at most, and writes each where it belongs. Neighbouring
// threads take neighbouring rows where those are denser in memory than columns, so that either way a warp writes whole
// sectors.
#pragma once

#include "../stream/panels.h"
#include "../stream/pattern.h"
#include "../stream/source.h"
#include "groups.h"
#include "launch.h"

namespace fastinit::cuda {

// n / d for n, d < 2^16, by one multiplication. (A tile has no more items than elements, but for one more a row.)
static_assert(Panels::kTileElements + Panels::kTileRows < 1 << 16);
class Divisor {
 public:
  Divisor() = default;
  FASTINIT_HD explicit Divisor(uint32_t d) : divisor_(d), inverse_(d == 1 ? 0 : ~uint32_t{0} / d + 1) {}
  FASTINIT_HD uint32_t quotient(uint32_t n) const {
    return divisor_ == 1 ? n : static_cast<uint32_t>(uint64_t{n} * inverse_ >> 32);
  }
  FASTINIT_HD uint32_t divisor() const { return divisor_; }

 private:
  uint32_t divisor_, inverse_;
};

// The work of one tile: `per_row` items in each of its rows, an item to a thread at a time.
struct Work {
  Panels::Tile tile;
  uint32_t items;
  Divisor fast;  // of what varies fastest from thread to thread
};

// Values of one distribution, in working type L::T, to elements of `dtype`.
template <class D, class L>
struct TiledValues {
  static constexpr int kElements = sizeof(typename L::T) == 8 ? 2 : 4;  // of a Philox block

  Captured captured;
  Key key;
  char* data;
  int64_t origin;
  DType dtype;
  D d;
  Panels panels;

  FASTINIT_HD Key resolved() const { return resolve(key, captured); }
  FASTINIT_HD bool consecutive() const { return panels.col.index == 1; }

  // The blocks that so many consecutive elements can touch; elements that are not consecutive have one each.
  FASTINIT_HD uint32_t per_row(uint32_t columns) const {
    return consecutive() ? (columns + kElements - 2) / kElements + 1 : columns;
  }

  FASTINIT_HD void write(const Key& k, const Work& w, uint32_t row, uint32_t item) const {
    const uint64_t first = static_cast<uint64_t>(origin + w.tile.index) + row * static_cast<uint64_t>(panels.row.index);
    const uint64_t index = first + (consecutive() ? item * kElements : item * static_cast<uint64_t>(panels.col.index));
    const int word = static_cast<int>(index % kElements);
    const Words block = stream_block(k, index / kElements);
    typename L::T v[kElements];
    values_of<L>(d, block, v, 0);
    // The column of the block's first element, which may lie before the row; alone, an element is the `word`th of its
    // block.
    const int64_t column = int64_t{item} * (consecutive() ? kElements : 1) - word;
    const int size = item_size(dtype);
    char* const at = data + (w.tile.memory + row * panels.row.memory + column * panels.col.memory) * size;
    const int64_t columns = w.tile.cols;
    if (consecutive() && panels.col.memory == 1 && column >= 0 && column + kElements <= columns &&
        reinterpret_cast<uintptr_t>(at) % (kElements * size) == 0) {
      store_block(at, v);
      return;
    }
    FASTINIT_UNROLL
    for (int i = 0; i < kElements; ++i) {
      const bool mine = consecutive() ? column + i >= 0 && column + i < columns : i == word;
      if (mine) store_one(at + i * panels.col.memory * size, v[i]);
    }
  }

 private:
  FASTINIT_HD void store_one(char* at, typename L::T v) const {
    if constexpr (sizeof(typename L::T) == 8) {
      *reinterpret_cast<double*>(at) = v;
    } else {
      const uint32_t code = code_of(v, dtype);
      const int size = item_size(dtype);
      if (size == 4) {
        *reinterpret_cast<uint32_t*>(at) = code;
      } else if (size == 2) {
        *reinterpret_cast<uint16_t*>(at) = static_cast<uint16_t>(code);
      } else {
        *at = static_cast<char>(code);
      }
    }
  }

  // All elements of a block, to memory aligned to their size together.
  FASTINIT_HD void store_block(char* at, const typename L::T (&v)[kElements]) const {
    if constexpr (sizeof(typename L::T) == 8) {
      *reinterpret_cast<Packed*>(at) = OutF64::pack(v, dtype);
    } else {
      uint32_t c[4];
      FASTINIT_UNROLL
      for (int i = 0; i < 4; ++i) c[i] = code_of(v[i], dtype);
      const int size = item_size(dtype);
      if (size == 4) {
        *reinterpret_cast<Packed*>(at) = {{c[0], c[1], c[2], c[3]}};
      } else if (size == 2) {
        *reinterpret_cast<uint64_t*>(at) = (c[0] | c[1] << 16) | uint64_t{c[2] | c[3] << 16} << 32;
      } else {
        *reinterpret_cast<uint32_t*>(at) = c[0] | c[1] << 8 | c[2] << 16 | c[3] << 24;
      }
    }
  }
};

// A repeated element.
struct TiledRepeat {
  char* data;
  Packed item;
  int size;
  Panels panels;

  FASTINIT_HD Key resolved() const { return {}; }  // it has none

  FASTINIT_HD uint32_t per_row(uint32_t columns) const { return columns; }

  FASTINIT_HD void write(const Key&, const Work& w, uint32_t row, uint32_t column) const {
    char* const at = data + (w.tile.memory + row * panels.row.memory + column * panels.col.memory) * size;
    switch (size) {
      case 1:
        *at = static_cast<char>(item.w[0]);
        break;
      case 2:
        *reinterpret_cast<uint16_t*>(at) = static_cast<uint16_t>(item.w[0]);
        break;
      case 4:
        *reinterpret_cast<uint32_t*>(at) = item.w[0];
        break;
      default:  // 16 bytes are two numbers, and aligned as one is
        *reinterpret_cast<uint64_t*>(at) = item.w[0] | uint64_t{item.w[1]} << 32;
        if (size == 16) *reinterpret_cast<uint64_t*>(at + 8) = item.w[2] | uint64_t{item.w[3]} << 32;
    }
  }
};

template <class P>
__global__ void __launch_bounds__(kThreads) tiled(const P __grid_constant__ p) {
  __shared__ Work work;  // made by one thread, for its divisions take hundreds of instructions
  const Key key = p.resolved();
  const bool rows_vary = p.panels.row.memory < p.panels.col.memory;
  for (int64_t t = blockIdx.x; t < p.panels.tiles; t += gridDim.x) {
    __syncthreads();
    if (threadIdx.x == 0) {
      work.tile = p.panels.tile(t);
      const uint32_t rows = static_cast<uint32_t>(work.tile.rows);
      const uint32_t per_row = p.per_row(static_cast<uint32_t>(work.tile.cols));
      work.items = rows * per_row;
      work.fast = Divisor(rows_vary ? rows : per_row);
    }
    __syncthreads();
    for (uint32_t n = threadIdx.x; n < work.items; n += kThreads) {
      const uint32_t slow = work.fast.quotient(n);
      const uint32_t fast = n - slow * work.fast.divisor();
      p.write(key, work, rows_vary ? fast : slow, rows_vary ? slow : fast);
    }
  }
}

template <class P>
void launch_tiled(const P& p, cudaStream_t stream) {
  static_assert(sizeof(P) <= 4096);
  launch(tiled<P>, std::min<int64_t>(p.panels.tiles, processors() * 64), stream, p);
}

}  // namespace fastinit::cuda
