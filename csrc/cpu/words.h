// Philox over vectors: every 64-bit lane computes one block, its words in the low halves.
//
// With a word in a 64-bit lane a round is two multiplications (both halves of the product at once), two shifts and two
// three-way exclusive ors. Two things are cheaper here than in philox.h, and tested equal to it: for consecutive blocks
// the first two rounds are partly the same in all lanes, and the last one leaves the words where the transforms want
// them, `even` = words (0, 2) and `odd` = words (1, 3) of each block.
#pragma once

#include "../stream/philox.h"
#include "many.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

// Which block each lane holds. Interleaved: after interleave_lower and interleave_upper the elements come out in order.
enum class Order { Natural, Interleaved };

FASTINIT_INLINE U64 lane_blocks(Order order) {
  U64 v{};
  for (int k = 0; k < kLanes64; ++k) {
    v[k] = order == Order::Natural ? k : (k % 2 == 0 ? k / 2 : kLanes64 / 2 + k / 2);
  }
  return v;
}

// Blocks in natural order to the lanes that `order` wants them in.
template <Order order>
FASTINIT_INLINE U64 ordered(U64 blocks) {
  if constexpr (order == Order::Natural) {
    return blocks;
  } else {
#if FASTINIT_V4
    return FASTINIT_SHUFFLE(blocks, blocks, 0, 4, 1, 5, 2, 6, 3, 7);
#elif FASTINIT_V3
    return FASTINIT_SHUFFLE(blocks, blocks, 0, 2, 1, 3);
#else
    return blocks;
#endif
  }
}

class Philox {
 public:
  Philox(Key key, Domain domain) : offset_(key.offset), domain_(static_cast<uint32_t>(domain)) {
    uint32_t k0 = static_cast<uint32_t>(key.seed);
    uint32_t k1 = static_cast<uint32_t>(key.seed >> 32);
    for (int r = 0; r < kRounds; ++r, k0 += kPhiloxW0, k1 += kPhiloxW1) {
      k0_[r] = U64{} + k0;
      k1_[r] = U64{} + k1;
    }
    last_ = (U32)(k0_[kRounds - 1] | k1_[kRounds - 1] << 32);
  }

  uint64_t counter(uint64_t block) const { return offset_ + block; }

  // Any counters, one a lane, N vectors in lock step.
  template <int N>
  FASTINIT_INLINE void at(const Many<U64, N>& counters, Many<U32, N>& even, Many<U32, N>& odd) const {
    State s[N];
    for (int k = 0; k < N; ++k) s[k] = {counters.v[k], counters.v[k] >> 32, U64{} + domain_, U64{}};
    finish<0>(s, even, odd);
  }

 private:
  friend class Consecutive;

  // The state of a round in one vector; only the low half of each lane counts.
  struct State {
    U64 c0, c1, c2, c3;
  };

  FASTINIT_INLINE void round(int r, State& s) const {
    const U64 p0 = multiply_low_halves(s.c0, U64{} + kPhiloxM0);
    const U64 p1 = multiply_low_halves(s.c2, U64{} + kPhiloxM1);
    s = {(p1 >> 32) ^ s.c1 ^ k0_[r], p1, (p0 >> 32) ^ s.c3 ^ k1_[r], p0};
  }

  // Rounds From to the last.
  template <int From, int N>
  FASTINIT_INLINE void finish(State (&s)[N], Many<U32, N>& even, Many<U32, N>& odd) const {
#pragma GCC unroll 10
    for (int r = From; r < kRounds - 1; ++r) {
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) round(r, s[k]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) {
      const U64 p0 = multiply_low_halves(s[k].c0, U64{} + kPhiloxM0);
      const U64 p1 = multiply_low_halves(s[k].c2, U64{} + kPhiloxM1);
      even.v[k] = join_high_halves(p1, p0) ^ join_low_halves(s[k].c1, s[k].c3) ^ last_;
      odd.v[k] = join_low_halves(p1, p0);
    }
  }

  U64 k0_[kRounds], k1_[kRounds];
  U32 last_;
  uint64_t offset_;
  uint32_t domain_;
};

// Runs through consecutive counters, kLanes64 a step, as long as their upper 32 bits do not change.
class Consecutive {
 public:
  FASTINIT_INLINE Consecutive(const Philox& philox, uint64_t counter, Order order) : philox_(philox) {
    const uint64_t d = uint64_t{kPhiloxM1} * philox.domain_;
    const uint64_t c0 = (d >> 32) ^ (counter >> 32) ^ philox.k0_[0][0];  // the same in all lanes after round 1
    const uint64_t p = kPhiloxM0 * (c0 & 0xffffffffu);
    product_ = multiply_low_halves(lane_blocks(order) + (counter & 0xffffffffu), U64{} + kPhiloxM0);
    c0_round2_ = philox.k0_[1] ^ (d & 0xffffffffu);
    c2_round2_ = philox.k1_[1] ^ (p >> 32);
    c2_round3_ = philox.k1_[2] ^ (p & 0xffffffffu);
  }

  // Steps that can be taken from `counter` before the upper half of a lane's counter changes.
  static uint64_t steps_left(uint64_t counter) { return ((uint64_t{1} << 32) - (counter & 0xffffffffu)) / kLanes64; }

  // N steps at once.
  template <int N>
  FASTINIT_INLINE void next(Many<U32, N>& even, Many<U32, N>& odd) {
    Philox::State s[N];
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) s[k] = start();
    philox_.finish<3>(s, even, odd);
  }

 private:
  // The state after three rounds.
  FASTINIT_INLINE Philox::State start() {
    const U64 p0 = product_;  // round 1: only the product with word 0 depends on the lane
    product_ += U64{} + uint64_t{kPhiloxM0} * kLanes64;
    const U64 p1 = multiply_low_halves((p0 >> 32) ^ philox_.k1_[0], U64{} + kPhiloxM1);  // round 2
    Philox::State s = {(p1 >> 32) ^ c0_round2_, p1, p0 ^ c2_round2_, U64{}};
    const U64 q0 = multiply_low_halves(s.c0, U64{} + kPhiloxM0);  // round 3, its fourth word being a constant
    const U64 q1 = multiply_low_halves(s.c2, U64{} + kPhiloxM1);
    return {(q1 >> 32) ^ p1 ^ philox_.k0_[2], q1, (q0 >> 32) ^ c2_round3_, q0};
  }

  const Philox& philox_;
  U64 product_, c0_round2_, c2_round2_, c2_round3_;
};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
