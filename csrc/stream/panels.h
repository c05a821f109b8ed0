// How a fill is cut into independent pieces of work, whatever its layout.
//
// A flat fill (contiguous, or a row block of a contiguous tensor) is cut into ranges. Anything else is seen as a stack
// of two-dimensional panels cut into tiles: `cols` runs along the logical order, in which the generator produces
// values, and `rows` along the dimension that is densest in memory, in which they are best written.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "fill.h"

namespace fastinit {

struct Panels {
  struct Axis {
    int64_t size = 1, memory = 0, index = 0;
  };
  Axis row, col;
  int outer_dims = 0;
  Axis outer[kMaxDims];
  int64_t tile_rows = 1, tile_cols = 1;
  int64_t row_tiles = 1, col_tiles = 1;
  bool direct = false;  // whole runs of a row go straight to memory
  int64_t tiles = 1;
  bool large = false;  // past any cache: columns are best written around it

  static constexpr int kTileElements = 4096;
  static constexpr int kTileRows = 512;
  static constexpr int kTileCols = 64;
  static constexpr int64_t kDirectRun = 16384;
  static constexpr int64_t kLargeElements = int64_t{4} << 20;

  // `runs`: whether long runs along a row may be tiles of their own, for workers that write them one element after another.
  explicit Panels(const Fill& f, bool runs = true) {
    if (f.dims == 0) return;
    large = f.count >= kLargeElements;
    const int last = f.dims - 1;
    col = axis(f, last);
    int rows = -1;
    direct = runs && col.memory == 1 && col.index == 1 && col.size >= 256;
    if (direct) {
      tile_cols = std::min(col.size, kDirectRun);
    } else if (last > 0) {
      rows = last - 1;
      for (int d = 0; d < last; ++d) {
        if (std::abs(f.memory_stride[d]) < std::abs(f.memory_stride[rows])) rows = d;
      }
      // Without a denser dimension, the next one in logical order: short rows then share blocks.
      if (std::abs(f.memory_stride[rows]) > std::abs(col.memory)) rows = last - 1;
      row = axis(f, rows);
      tile_cols = std::min<int64_t>(col.size, kTileCols);
      // Without consecutive elements each takes a whole block of words.
      const int64_t elements = col.index == 1 ? kTileElements : 2 * kTileRows;
      tile_rows = std::min(row.size, std::min<int64_t>(kTileRows, elements / tile_cols));
    } else {
      tile_cols = std::min<int64_t>(col.size, col.index == 1 ? kTileElements : kTileRows);
    }
    for (int d = 0; d < last; ++d) {
      if (d != rows) outer[outer_dims++] = axis(f, d);
    }
    row_tiles = (row.size + tile_rows - 1) / tile_rows;
    col_tiles = (col.size + tile_cols - 1) / tile_cols;
    tiles = row_tiles * col_tiles;
    for (int d = 0; d < outer_dims; ++d) tiles *= outer[d].size;
  }

  struct Tile {
    int64_t memory, index;  // of its first element
    int64_t rows, cols;
  };

  // Tiles run down the rows first: neighbouring tiles are then neighbours in memory.
  FASTINIT_HD Tile tile(int64_t t) const {
    const int64_t r = t % row_tiles * tile_rows;
    t /= row_tiles;
    const int64_t c = t % col_tiles * tile_cols;
    t /= col_tiles;
    Tile out{r * row.memory + c * col.memory, r * row.index + c * col.index, least(tile_rows, row.size - r),
             least(tile_cols, col.size - c)};
    for (int d = outer_dims - 1; d >= 0; --d) {
      const int64_t k = t % outer[d].size;
      t /= outer[d].size;
      out.memory += k * outer[d].memory;
      out.index += k * outer[d].index;
    }
    return out;
  }

 private:
  static Axis axis(const Fill& f, int d) { return {f.size[d], f.memory_stride[d], f.index_stride[d]}; }
};

}  // namespace fastinit
