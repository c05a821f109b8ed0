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

template <class Out, class D>
FASTINIT_INLINE void emit(const D& d, U32 even, U32 odd, typename Out::T* p) {
  using Lane = typename Out::Lane;
  typename Lane::F x, y;
  if constexpr (sizeof(typename Lane::T) == 8) {
    // A float64 takes two words, the first in its low half.
    const U64 first = ((U64)even & 0xffffffffu) | (U64)odd << 32;
    const U64 second = (U64)even >> 32 | ((U64)odd & 0xffffffff00000000u);
    transform<Lane>(d, first, second, x, y);
  } else {
    transform<Lane>(d, even, odd, x, y);
  }
  Out::store(p, x, y);
}

// Two steps.
template <class Out, class D>
FASTINIT_INLINE void emit(const D& d, const Pair<U32>& even, const Pair<U32>& odd, typename Out::T* p) {
  using Lane = typename Out::Lane;
  constexpr int step = kPerStep<typename Lane::T>;
  if constexpr (sizeof(typename Lane::T) == 8) {
    emit<Out>(d, even.a, odd.a, p);
    emit<Out>(d, even.b, odd.b, p + step);
  } else {
    Pair<typename Lane::F> x, y;
    transform<Twice<Lane>>(d, even, odd, x, y);
    Out::store(p, x.a, y.a);
    Out::store(p + step, x.b, y.b);
  }
}

// kLanes64 blocks from a list of counters in natural order, to kPerStep elements.
template <class Out, class D>
FASTINIT_INLINE void emit_listed(const D& d, const Philox& philox, const uint64_t* counters, typename Out::T* p) {
  U32 even, odd;
  philox.at(ordered<Out::order>(load<U64>(counters)), even, odd);
  emit<Out>(d, even, odd, p);
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
    if (whole > 0) {
      Consecutive words(philox, counter, Out::order);
      uint64_t i = 0;
      for (; i + 2 <= whole; i += 2, at += 2 * step) {
        Pair<U32> even, odd;
        words.next(even, odd);
        emit<Out>(d, even, odd, dst + at);
      }
      for (; i < whole; ++i, at += step) {
        U32 even, odd;
        words.next(even, odd);
        emit<Out>(d, even, odd, dst + at);
      }
      block += whole * kLanes64;
      continue;
    }
    // An end of the run, or a step over which the counter's upper half changes.
    uint64_t counters[kLanes64];
    for (int k = 0; k < kLanes64; ++k) counters[k] = counter + k;
    typename Out::T buffer[step];
    emit_listed<Out>(d, philox, counters, buffer);
    const int64_t from = std::max<int64_t>(at, 0);
    const int64_t to = std::min(at + step, count);
    std::copy(buffer + (from - at), buffer + (to - at), dst + from);
    at += step;
    block += kLanes64;
  }
}

// The same for the 8-bit formats, through a small buffer of float32.
template <class Out, class D>
void fill_run_buffered(const D& d, const Philox& philox, int64_t first, int64_t count, typename Out::T* dst) {
  constexpr int64_t chunk = 2048;
  float buffer[chunk];
  for (int64_t at = 0; at < count; at += chunk) {
    const int64_t n = std::min(chunk, count - at);
    fill_run<OutF32>(d, philox, first + at, n, buffer);
    for (int64_t i = 0; i < n; ++i) dst[at + i] = Out::narrow(buffer[i]);
  }
}

// All elements of `blocks` listed blocks, in list order; whole steps.
template <class Out, class D>
void fill_listed(const D d, const Philox& philox, const uint64_t* counters, int blocks, typename Out::T* dst) {
  constexpr int per_block = kPerBlock<typename Out::Lane::T>;
  int b = 0;
  for (; b + 2 * kLanes64 <= blocks; b += 2 * kLanes64) {
    const Pair<U64> c = {ordered<Out::order>(load<U64>(counters + b)),
                         ordered<Out::order>(load<U64>(counters + b + kLanes64))};
    Pair<U32> even, odd;
    philox.at(c, even, odd);
    emit<Out>(d, even, odd, dst + b * per_block);
  }
  for (; b < blocks; b += kLanes64) emit_listed<Out>(d, philox, counters + b, dst + b * per_block);
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
