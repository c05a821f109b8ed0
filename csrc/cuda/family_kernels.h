// All kernels of one distribution, for every type and layout, and their launches: what the short .cu files instantiate.
#pragma once

#include <memory>
#include <type_traits>

#include "family.h"
#include "flat.h"
#include "tiled.h"

namespace fastinit::cuda {

template <class D, class = void>
struct Bounded : std::false_type {};
template <class D>
struct Bounded<D, std::void_t<decltype(D::lo)>> : std::is_same<decltype(D::lo), float> {};

// Whether the kernels for consecutive memory, which clamp by the device's own instructions, give the stream's values.
template <class D>
bool allows_clamping(const D& d) {
  if constexpr (Bounded<D>::value) return bounds_allow_clamping(d.lo, d.hi);
  return true;
}

template <class G, class D>
FlatItem<G> flat_item(const FlatFill& f, const D& d) {
  const int64_t phase = f.origin % G::kElements;
  const uint64_t block = static_cast<uint64_t>(f.origin / G::kElements) * G::kBlocks;
  return {f.data - phase * G::kItem, phase, phase + f.count, f.key, block, G{d, f.dtype}};
}

// So many tiles a block that some blocks are there for every processor, and enough that starting one does not count.
inline uint32_t tiles_per_block(uint32_t tiles) {
  const int64_t each = tiles / (8 * processors());
  return static_cast<uint32_t>(std::min<int64_t>(std::max<int64_t>(each, 1), 8));
}

inline int64_t blocks_for(uint32_t tiles, uint32_t per_block) { return (int64_t{tiles} + per_block - 1) / per_block; }

template <class G>
void launch_one(const FlatItem<G>& item, cudaStream_t stream) {
  const uint32_t tiles = item.tiles(), each = tiles_per_block(tiles);
  launch(flat_one<G>, blocks_for(tiles, each), stream,
         OneParams<G>{item, item.key.offset + item.block, expand(item.key.seed), tiles, each});
}

template <class G, int kMost>
void launch_batches(const std::vector<FlatItem<G>>& items, const Captured& captured, cudaStream_t stream) {
  const std::unique_ptr<ManyParams<G, kMost>> p(new ManyParams<G, kMost>);
  p->captured = captured;
  for (size_t at = 0; at < items.size(); at += static_cast<size_t>(p->items)) {
    p->items = static_cast<int>(std::min<size_t>(items.size() - at, kMost));
    p->tiles = 0;
    for (int i = 0; i < p->items; ++i) {
      p->item[i] = items[at + static_cast<size_t>(i)];
      p->end[i] = p->tiles += p->item[i].tiles();
    }
    p->tiles_per_block = tiles_per_block(p->tiles);
    launch(flat_many<G, kMost>, blocks_for(p->tiles, p->tiles_per_block), stream, *p);
  }
}

template <class G>
void launch_many(const std::vector<FlatItem<G>>& items, const Captured& captured, cudaStream_t stream) {
  if (items.size() == 1 && captured.seed == nullptr) return launch_one(items[0], stream);
  if (items.size() <= kFew) return launch_batches<G, kFew>(items, captured, stream);
  launch_batches<G, kFull<G>>(items, captured, stream);
}

// Calls f(Out{}) for the output that a type ends in.
template <bool Wide, class F>
void with_output(DType dtype, F&& f) {
  if constexpr (Wide) {
    f(OutF64{});
  } else if (dtype == DType::F32) {
    f(OutF32{});
  } else if (dtype == DType::BF16) {
    f(OutBF16{});
  } else if (dtype == DType::F16) {
    f(OutF16{});
  } else {
    f(OutF8{});
  }
}

template <class Union, class D>
const D& parameters_of(const Distribution& d, D Union::* member) {
  if constexpr (std::is_same_v<Union, Distribution::Wide>) {
    return d.wide.*member;
  } else {
    return d.single.*member;
  }
}

template <class Union, class D>
void fill_tiled(const Fill& f, D Union::* member, const Captured& captured, cudaStream_t stream) {
  using L = std::conditional_t<std::is_same_v<Union, Distribution::Wide>, ScalarF64, LaneF32>;
  const D& d = parameters_of(f.distribution, member);
  launch_tiled(TiledValues<D, L>{captured, f.key, static_cast<char*>(f.data), f.origin, f.dtype, d, Panels(f, false)},
               stream);
}

// A flat fill as any other.
inline Fill in_full(const FlatFill& flat) {
  Fill f;
  f.data = flat.data;
  f.dims = 1;
  f.count = f.size[0] = flat.count;
  f.memory_stride[0] = f.index_stride[0] = 1;
  f.origin = flat.origin;
  f.dtype = flat.dtype;
  f.distribution = flat.distribution;
  f.key = flat.key;
  return f;
}

template <class Union, class D>
void fill_flat(const FlatFills& fills, D Union::* member, const Captured& captured, cudaStream_t stream) {
  with_output<std::is_same_v<Union, Distribution::Wide>>(fills[0]->dtype, [&](auto out) {
    using G = Random<D, decltype(out)>;
    std::vector<FlatItem<G>> items;
    items.reserve(fills.size());
    for (const FlatFill* f : fills) {
      const D& d = parameters_of(f->distribution, member);
      if (allows_clamping(d)) {
        items.push_back(flat_item<G>(*f, d));
      } else {
        fill_tiled(in_full(*f), member, captured, stream);
      }
    }
    if (!items.empty()) launch_many(items, captured, stream);
  });
}

}  // namespace fastinit::cuda
