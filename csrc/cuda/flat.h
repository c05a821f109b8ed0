// Fills of consecutive memory, one tensor or many in one launch.
//
// A fill is cut into tiles of a group (groups.h) for each thread, several times over. Inside a whole tile nothing is tested:
// all groups are full, all stores take 16 aligned bytes, and only the lower half of the Philox counter changes.
// The first and the last tile of a fill, one where the counter's upper half changes, and all tiles of a fill whose
// groups do not begin at multiples of 16 bytes (an odd slice) take the careful way.
#pragma once

#include "../stream/source.h"
#include "groups.h"
#include "launch.h"

namespace fastinit::cuda {

// One fill, as the kernels see it: elements [first, last), counted from the start of group 0, in which `first` lies.
template <class G>
struct FlatItem {
  char* data;  // where group 0 starts
  int64_t first, last;
  uint32_t whole_begin, whole_end;  // the tiles whose groups are all full, and aligned
  Key key;
  uint64_t block;  // the Philox block of group 0
  G group;

  static constexpr int64_t kTileGroups = kThreads * G::kUnroll;
  static constexpr int64_t kTileElements = kTileGroups * G::kElements;

  FlatItem() = default;
  FlatItem(char* start, int64_t begin, int64_t end, Key k, uint64_t first_block, const G& g)
      : data(start),
        first(begin),
        last(end),
        whole_begin(begin > 0),
        whole_end(0),
        key(k),
        block(first_block),
        group(g) {
    if (reinterpret_cast<uintptr_t>(start) % 16 == 0) whole_end = static_cast<uint32_t>(end / kTileElements);
  }

  uint32_t tiles() const { return static_cast<uint32_t>((last + kTileElements - 1) / kTileElements); }
};

template <class G>
FASTINIT_HD void whole_tile(const FlatItem<G>& f, const KeySchedule& keys, char* data, SteadyCounter counter) {
  FASTINIT_UNROLL
  for (int u = 0; u < G::kUnroll; ++u) {
    const SteadyCounter here{counter.low + u * kThreads * G::kBlocks, counter.high};
    const Packed bits = f.group.at(keys, here);
    *reinterpret_cast<Packed*>(data + 16 * u * kThreads) = bits;
  }
}

template <class G>
FASTINIT_HD void careful_tile(const FlatItem<G>& f, const KeySchedule& keys, char* data, uint64_t counter,
                              int64_t element, uint32_t thread) {
  const bool aligned = reinterpret_cast<uintptr_t>(data) % 16 == 0;
  FASTINIT_KEEP_LOOP
  for (int u = 0; u < G::kUnroll; ++u) {
    const uint32_t g = u * kThreads + thread;
    const int64_t at = element + int64_t{g} * G::kElements;
    if (at >= f.last) return;
    const int from = at < f.first ? static_cast<int>(f.first - at) : 0;
    const int to = f.last - at < G::kElements ? static_cast<int>(f.last - at) : G::kElements;
    const Packed bits = f.group.at(keys, AnyCounter{counter + uint64_t{g} * G::kBlocks});
    if (aligned && from == 0 && to == G::kElements) {
      *reinterpret_cast<Packed*>(data + 16 * g) = bits;
    } else {
      store_items<G::kItem>(data + 16 * g, bits, from, to);
    }
  }
}

// Tiles [tile, end) of one fill; `start` is the counter of group 0.
template <class G>
FASTINIT_HD void tiles(const FlatItem<G>& f, const KeySchedule& keys, uint64_t start, uint32_t tile, uint32_t end,
                       uint32_t thread) {
  constexpr int64_t groups = FlatItem<G>::kTileGroups;
  constexpr uint32_t blocks = static_cast<uint32_t>(groups * G::kBlocks);
  const uint32_t whole_end = least(end, f.whole_end);
  while (tile < end) {
    char* data = f.data + int64_t{tile} * groups * 16;
    const uint64_t counter = start + uint64_t{tile} * blocks;
    uint32_t low = static_cast<uint32_t>(counter);
    uint32_t run = tile >= f.whole_begin && tile < whole_end ? whole_end - tile : 0;
    if constexpr (blocks > 0) run = least(run, ~low / blocks);  // then `low` does not wrap
    if (run == 0) {
      careful_tile(f, keys, data, counter, int64_t{tile} * FlatItem<G>::kTileElements, thread);
      ++tile;
      continue;
    }
    tile += run;
    low += thread * G::kBlocks;
    data += 16 * thread;
    FASTINIT_KEEP_LOOP
    for (; run > 0; --run, low += blocks, data += 16 * groups) {
      whole_tile(f, keys, data, SteadyCounter{low, static_cast<uint32_t>(counter >> 32)});
    }
  }
}

// One fill, its key known on the host: the expanded key then lies in constant memory, which Philox's operations read
// for nothing.
template <class G>
struct OneParams {
  FlatItem<G> item;
  uint64_t start;  // the counter of group 0
  KeySchedule keys;
  uint32_t tiles, tiles_per_block;
};

template <class G>
__global__ void __launch_bounds__(kThreads) flat_one(const OneParams<G> __grid_constant__ p) {
  const uint32_t tile = blockIdx.x * p.tiles_per_block;
  tiles(p.item, p.keys, p.start, tile, least(tile + p.tiles_per_block, p.tiles), threadIdx.x);
}

// Up to kMost fills. For many, as many as the parameters of a launch hold (CUDA 12.1 and later); for a few there is a
// form of its own, since a launch copies all of its parameters, used or not, and a graph keeps them.
constexpr int kFew = 8;
constexpr int kParameterBytes = 32764;
template <class G>
constexpr int kFull = static_cast<int>((kParameterBytes - 64) / (sizeof(FlatItem<G>) + sizeof(uint32_t)));

template <class G, int kMost>
struct ManyParams {
  Captured captured;
  uint32_t tiles, tiles_per_block;  // of all items
  int items;
  uint32_t end[kMost];  // the tiles of this item and of those before it
  FlatItem<G> item[kMost];
};

constexpr int power_of_two_within(int n) { return n < 2 ? n : 2 * power_of_two_within(n / 2); }

template <class G, int kMost>
__global__ void __launch_bounds__(kThreads) flat_many(const ManyParams<G, kMost> __grid_constant__ p) {
  static_assert(sizeof(p) <= kParameterBytes);
  uint32_t tile = blockIdx.x * p.tiles_per_block;
  const uint32_t last = least(tile + p.tiles_per_block, p.tiles);
  int i = 0;  // the first item that ends beyond this tile
  FASTINIT_KEEP_LOOP
  for (int bit = power_of_two_within(kMost); bit > 0; bit >>= 1) {
    if (i + bit <= p.items && p.end[i + bit - 1] <= tile) i += bit;
  }
  for (; tile < last; ++i) {
    const FlatItem<G>& f = p.item[i];
    const Key key = resolve(f.key, p.captured);
    const uint32_t begin = i == 0 ? 0 : p.end[i - 1], end = least(last, p.end[i]);
    tiles(f, expand(key.seed), key.offset + f.block, tile - begin, end - begin, threadIdx.x);
    tile = end;
  }
}

}  // namespace fastinit::cuda
