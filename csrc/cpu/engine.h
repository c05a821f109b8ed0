// Runs of elements: words, transform, output, for consecutive elements or for a list of blocks.
#pragma once

#include <algorithm>

#include "../stream/transforms.h"
#include "outputs.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

// Elements of one Philox block, and of one step (a block in every 64-bit lane).
template <class T>
constexpr int kPerBlock = sizeof(T) == 8 ? 2 : 4;
template <class T>
constexpr int kPerStep = kPerBlock<T> * kLanes64;

// N steps of words to N * kPerStep elements.
template <class Out, int N, class D>
FASTINIT_INLINE void emit(const D& d, const Many<U32, N>& even, const Many<U32, N>& odd, typename Out::T* p) {
  using Lane = typename Out::Lane;
  using T = typename Lane::T;
  constexpr int together = N % kTransforms == 0 ? kTransforms : 1;
  using Lanes = ManyLanes<Lane, together>;
#pragma GCC unroll 4
  for (int k = 0; k < N / together; ++k) {
    typename Lanes::F x, y;
    if constexpr (sizeof(T) == 8) {
      // A float64 takes two words, the first in its low half.
      const auto word = [&](bool second) {
        return each<U64, together>([&](int i) {
          const U64 e = (U64)even.v[k * together + i], o = (U64)odd.v[k * together + i];
          return second ? e >> 32 | (o & 0xffffffff00000000u) : (e & 0xffffffffu) | o << 32;
        });
      };
      transform<Lanes>(d, word(false), word(true), x, y);
    } else {
      transform<Lanes>(d, even.template part<together>(k), odd.template part<together>(k), x, y);
    }
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) Out::store(p + (k * together + i) * kPerStep<T>, x.v[i], y.v[i]);
  }
}

// N * kLanes64 blocks from a list of counters in natural order.
template <class Out, int N, class D>
FASTINIT_INLINE void emit_listed(const D& d, const Philox& philox, const uint64_t* counters, typename Out::T* p) {
  Many<U32, N> even, odd;
  philox.at(each<U64, N>([&](int k) { return ordered<Out::order>(load<U64>(counters + k * kLanes64)); }), even, odd);
  emit<Out>(d, even, odd, p);
}

// One step, out of line: the code of a transform is long, and all that is not an inner loop shares it.
template <class Out, class D>
__attribute__((noinline)) void listed_step(const D& d, const Philox& philox, const uint64_t* counters,
                                           typename Out::T* p) {
  emit_listed<Out, 1>(d, philox, counters, p);
}

// Elements [first, first + count) of the stream to consecutive memory. The parameters come by value, so that a store
// through `dst` cannot make the compiler load them again.
template <class Out, class D>
void fill_run(const D d, const Philox& philox, int64_t first, int64_t count, typename Out::T* dst) {
  constexpr int64_t step = kPerStep<typename Out::Lane::T>;
  constexpr int64_t per_block = kPerBlock<typename Out::Lane::T>;
  uint64_t block = static_cast<uint64_t>(first / per_block);
  int64_t at = -(first % per_block);  // where the next step lies in dst; it may stick out at both ends
  while (at < count) {
    const uint64_t counter = philox.counter(block);
    const uint64_t whole = at < 0 ? 0 : std::min<uint64_t>((count - at) / step, Consecutive::steps_left(counter));
    if (whole >= kChains) {
      Consecutive words(philox, counter, Out::order);
      for (uint64_t i = 0; i + kChains <= whole; i += kChains, at += kChains * step, block += kChains * kLanes64) {
        Many<U32, kChains> even, odd;
        words.next(even, odd);
        emit<Out>(d, even, odd, dst + at);
      }
      continue;
    }
    // An end of the run, or a step over which the counter's upper half changes.
    uint64_t counters[kLanes64];
    for (int k = 0; k < kLanes64; ++k) counters[k] = counter + k;
    typename Out::T buffer[step];
    listed_step<Out>(d, philox, counters, buffer);
    const int64_t from = std::max<int64_t>(at, 0);
    const int64_t to = std::min(at + step, count);
    std::copy(buffer + (from - at), buffer + (to - at), dst + from);
    at += step;
    block += kLanes64;
  }
}

// All elements of `blocks` listed blocks, in list order; whole steps.
template <class Out, class D>
void fill_listed(const D d, const Philox& philox, const uint64_t* counters, int blocks, typename Out::T* dst) {
  constexpr int per_block = kPerBlock<typename Out::Lane::T>;
  constexpr int chunk = kChains * kLanes64;
  int b = 0;
  for (; b + chunk <= blocks; b += chunk) emit_listed<Out, kChains>(d, philox, counters + b, dst + b * per_block);
  for (; b < blocks; b += kLanes64) listed_step<Out>(d, philox, counters + b, dst + b * per_block);
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
