// Philox4x32-10, the generator of the stream: a pure function from (key, counter) to four 32-bit words.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11. The
// multipliers and the Weyl increments of the key schedule are those of that paper.
#pragma once

#include "platform.h"

namespace fastinit {

constexpr int kStreamVersion = 1;
constexpr int kRounds = 10;

constexpr uint32_t kPhiloxM0 = 0xD2511F53u;
constexpr uint32_t kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u;  // golden ratio
constexpr uint32_t kPhiloxW1 = 0xBB67AE85u;  // sqrt(3) - 1

struct Words {
  uint32_t w[4];
};

// What makes one stream: counters are 64-bit block numbers that start at `offset`.
struct Key {
  uint64_t seed;
  uint64_t offset;
};

// Word 2 of the counter. The values that fill tensors come from Main; everything that derives keys or makes auxiliary
// choices has a number of its own, so that none of its words is ever a word of a fill.
enum class Domain : uint32_t {
  Main = 0,
  FoldInt = 1,
  FoldString = 2,
  CpuGenerator = 3,
  SparseOrder = 5,
  // Not a small number: torch's own generator on CUDA uses the same Philox key and has the number of a thread here.
  CudaGenerator = 0x41445543,
};

template <int Rounds = kRounds>
FASTINIT_HD constexpr Words philox4x32(Words c, uint32_t k0, uint32_t k1) {
  for (int r = 0; r < Rounds; ++r) {
    const uint64_t p0 = uint64_t{kPhiloxM0} * c.w[0];
    const uint64_t p1 = uint64_t{kPhiloxM1} * c.w[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.w[1] ^ k0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.w[3] ^ k1, static_cast<uint32_t>(p0)}};
    k0 += kPhiloxW0;
    k1 += kPhiloxW1;
  }
  return c;
}

// The keys of all rounds, expanded once where many blocks share them: round r uses k[2 r] and k[2 r + 1].
struct KeySchedule {
  uint32_t k[2 * kRounds];
};

FASTINIT_HD constexpr KeySchedule expand(uint64_t seed) {
  KeySchedule s{};
  for (int r = 0; r < kRounds; ++r) {
    s.k[2 * r] = static_cast<uint32_t>(seed) + static_cast<uint32_t>(r) * kPhiloxW0;
    s.k[2 * r + 1] = static_cast<uint32_t>(seed >> 32) + static_cast<uint32_t>(r) * kPhiloxW1;
  }
  return s;
}

FASTINIT_HD constexpr Words philox4x32(Words c, const KeySchedule& keys) {
  FASTINIT_UNROLL
  for (int r = 0; r < kRounds; ++r) {
    const uint64_t p0 = uint64_t{kPhiloxM0} * c.w[0];
    const uint64_t p1 = uint64_t{kPhiloxM1} * c.w[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.w[1] ^ keys.k[2 * r], static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.w[3] ^ keys.k[2 * r + 1], static_cast<uint32_t>(p0)}};
  }
  return c;
}

// Block `block` of a stream in one of its domains.
FASTINIT_HD constexpr Words stream_block(Key key, uint64_t block, Domain domain = Domain::Main) {
  const uint64_t counter = key.offset + block;
  return philox4x32(
      {{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(domain), 0}},
      static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32));
}

// One block turns (seed, data) into a new seed: keys by name, and keys drawn from a generator.
FASTINIT_HD constexpr uint64_t fold_in(uint64_t seed, uint64_t data, Domain domain) {
  const Words out = stream_block({seed, 0}, data, domain);
  return out.w[0] | uint64_t{out.w[1]} << 32;
}

// Known answers published with Random123 (tests/kat_vectors).
namespace known_answers {
constexpr bool same(Words a, Words b) {
  return a.w[0] == b.w[0] && a.w[1] == b.w[1] && a.w[2] == b.w[2] && a.w[3] == b.w[3];
}
constexpr Words kZero = {{0, 0, 0, 0}};
constexpr Words kOnes = {{~0u, ~0u, ~0u, ~0u}};
constexpr Words kPi = {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
static_assert(same(philox4x32<7>(kZero, 0, 0), {{0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}}));
static_assert(same(philox4x32<7>(kOnes, ~0u, ~0u), {{0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}}));
static_assert(same(philox4x32<7>(kPi, 0xa4093822, 0x299f31d0), {{0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}}));
static_assert(same(philox4x32(kZero, 0, 0), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
static_assert(same(philox4x32(kOnes, ~0u, ~0u), {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
static_assert(same(philox4x32(kPi, 0xa4093822, 0x299f31d0), {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
static_assert(same(philox4x32(kPi, expand(0x299f31d0a4093822)), {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}  // namespace known_answers

}  // namespace fastinit
