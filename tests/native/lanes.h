// Every operation of a lane type (stream/lane.h) on chosen operands. What random words meet once in 2^29 operations, a
// fused multiply-add that double precision would round twice, is here on purpose.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../csrc/stream/lane.h"

namespace fastinit::test {

constexpr int kLaneOperations = 9;

// Operation k on operands i to out[k * n + i]; n is a multiple of every width.
template <class T>
using LaneRun = void (*)(const T* a, const T* b, const T* c, int64_t n, T* out);

struct LaneRuns {
  LaneRun<float> single;
  LaneRun<double> wide;
};

template <class L>
void run_lanes(const typename L::T* a, const typename L::T* b, const typename L::T* c, int64_t n, typename L::T* out) {
  using F = typename L::F;
  constexpr int64_t width = sizeof(F) / sizeof(typename L::T);
  constexpr int few = sizeof(typename L::T) == 4 ? 8 : 13;  // shifted by so many, a signed integer is a small one
  for (int64_t i = 0; i < n; i += width) {
    F x, y, z;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    std::memcpy(&z, c + i, sizeof z);
    const typename L::U u = L::bits(x);
    const F results[kLaneOperations] = {
        L::fma(x, y, z),
        L::sqrt(x * x),
        L::min(x, y),
        L::max(x, y),
        L::select(L::less(x, y), y, z),
        L::select(L::nonzero(u & L::splat_u(4)), y, z),
        L::from_unsigned(u),
        L::from_signed(L::as_signed(u)),
        L::from_signed_small(L::as_signed(u) >> few),
    };
    for (int k = 0; k < kLaneOperations; ++k) std::memcpy(out + k * n + i, &results[k], sizeof results[k]);
  }
}

}  // namespace fastinit::test
