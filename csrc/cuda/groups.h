// What a kernel writes, 16 bytes (a group) at a time: values of a distribution, or a repeated element.
//
// A group of random values is whole Philox blocks: one of float32 or float64, two of a 16-bit type, four of an 8-bit
// one. So that no block is shared between threads, groups are counted from the start of the tensor's logical order.
#pragma once

#include "../stream/philox.h"
#include "../stream/transforms.h"
#include "lane.h"
#include "outputs.h"

namespace fastinit::cuda {

// The values of one block, to v[at] and after.
template <class L, class D, int N>
FASTINIT_HD void values_of(const D& d, const Words& block, typename L::T (&v)[N], int at) {
  const uint32_t* w = block.w;
  if constexpr (sizeof(typename L::T) == 8) {
    transform<L>(d, w[0] | uint64_t{w[1]} << 32, w[2] | uint64_t{w[3]} << 32, v[at], v[at + 1]);
  } else {
    transform<L>(d, w[0], w[1], v[at], v[at + 1]);
    transform<L>(d, w[2], w[3], v[at + 2], v[at + 3]);
  }
}

// The counter of a group's first block. In a steady tile its lower half does not wrap, and the upper one is the same for
// all threads.
struct SteadyCounter {
  uint32_t low, high;
  FASTINIT_HD Words at(uint32_t k) const { return {{low + k, high, static_cast<uint32_t>(Domain::Main), 0}}; }
};
struct AnyCounter {
  uint64_t value;
  FASTINIT_HD Words at(uint32_t k) const {
    const uint64_t c = value + k;
    return {{static_cast<uint32_t>(c), static_cast<uint32_t>(c >> 32), static_cast<uint32_t>(Domain::Main), 0}};
  }
};

template <class D, class Out>
struct Random {
  static constexpr int kItem = Out::kItem;
  static constexpr int kElements = 16 / kItem;
  static constexpr int kBlocks = Out::kItem == 8 ? 1 : kElements / 4;
  static constexpr int kUnroll = 4 / kBlocks;  // four blocks a thread in flight hide Philox's latency

  D d;
  DType dtype;

  template <class Counter>
  FASTINIT_HD Packed at(const KeySchedule& keys, Counter counter) const {
    using L = std::conditional_t<Out::kItem == 8, ScalarF64, ClampingLaneF32>;
    typename Out::T v[kElements];
    FASTINIT_UNROLL
    for (int k = 0; k < kBlocks; ++k) {
      values_of<L>(d, philox4x32(counter.at(static_cast<uint32_t>(k)), keys), v, k * (kElements / kBlocks));
    }
    return Out::pack(v, dtype);
  }
};

// An element of any size up to 16 bytes, repeated; `item` starts where the group does. Counted in bytes, since it has no
// index and so need not keep to elements.
struct Repeat {
  static constexpr int kItem = 1;
  static constexpr int kElements = 16;
  static constexpr int kBlocks = 0;
  static constexpr int kUnroll = 4;

  Packed bits;

  template <class Counter>
  FASTINIT_HD Packed at(const KeySchedule&, Counter) const {
    return bits;
  }
};

}  // namespace fastinit::cuda
