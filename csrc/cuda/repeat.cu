// Fills that repeat one element.
#include "family_kernels.h"

namespace fastinit::cuda {
namespace {

// The element over and over, `phase` bytes into it first.
Packed over_and_over(const unsigned char* item, int size, int64_t phase) {
  unsigned char bytes[16];
  for (int64_t i = 0; i < 16; ++i) bytes[i] = item[(i + phase) % size];
  Packed p;
  memcpy(&p, bytes, sizeof p);
  return p;
}

// Groups start at multiples of 16 bytes, wherever the elements do: a repeated element has no index.
FlatItem<Repeat> flat_item(const FlatPattern& f) {
  const int64_t before = static_cast<int64_t>(reinterpret_cast<uintptr_t>(f.data) % 16);
  const int64_t phase = (f.item_size - before % f.item_size) % f.item_size;
  return {f.data - before, before, before + f.bytes, Key{}, 0, Repeat{over_and_over(f.item, f.item_size, phase)}};
}

// A description that `Panels` can cut: the logical order is that of memory.
Panels panels_of(const PatternFill& f) {
  Fill g;
  g.dims = f.dims;
  g.count = f.count;
  int64_t index = 1;
  for (int d = f.dims - 1; d >= 0; --d) {
    g.size[d] = f.size[d];
    g.memory_stride[d] = f.stride[d];
    g.index_stride[d] = index;
    index *= f.size[d];
  }
  return Panels(g, false);
}

}  // namespace

void repeat_flat(const std::vector<FlatPattern>& fills, cudaStream_t stream) {
  std::vector<FlatItem<Repeat>> items;
  items.reserve(fills.size());
  for (const FlatPattern& f : fills) items.push_back(flat_item(f));
  launch_many(items, Captured{}, stream);
}

void repeat_tiled(const PatternFill& f, cudaStream_t stream) {
  const Packed item = over_and_over(f.item, f.item_size, 0);
  launch_tiled(TiledRepeat{static_cast<char*>(f.data), item, f.item_size, panels_of(f)}, stream);
}

}  // namespace fastinit::cuda
