// That a square root from a device's approximate reciprocal root is the correctly rounded one: every significand of x (over
// two binades, since the exponent's parity matters and nothing else of it), and for each every float32 that the
// instruction may return, which is stated to be within a relative 2^-22.9.
//
// Prints each pair of x and seed that gives another root, then how many there are of how many.
#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "../../csrc/cuda/lane.h"

int main() {
  using fastinit::ScalarF32;
  const double bound = std::exp2(-22.9);
  uint64_t tried = 0, wrong = 0;
  for (uint32_t bits = 0x3f800000u; bits < 0x40800000u; ++bits) {  // [1, 4)
    const float x = ScalarF32::from_bits(bits);
    const float root = std::sqrt(x);
    const double exact = 1.0 / std::sqrt(static_cast<double>(x));
    float seed = std::nextafter(static_cast<float>(exact * (1.0 - bound)), 0.0f);
    for (; static_cast<double>(seed) <= exact * (1.0 + bound); seed = std::nextafter(seed, 2.0f)) {
      if (static_cast<double>(seed) < exact * (1.0 - bound)) continue;
      ++tried;
      if (fastinit::cuda::root_from_seed(x, seed) == root) continue;
      ++wrong;
      std::printf("%a %a\n", static_cast<double>(x), static_cast<double>(seed));
    }
  }
  ++tried;  // 0, from the seed of 2^-100
  wrong += fastinit::cuda::root_from_seed(0.0f, 0x1p50f) != 0.0f;
  std::printf("%" PRIu64 " of %" PRIu64 "\n", wrong, tried);
  return 0;
}
