// Where the key of a fill comes from: known now, or, inside a CUDA graph, when the graph runs.
#pragma once

#include "philox.h"

namespace fastinit {

// While a CUDA graph is captured the state of torch's CUDA generator is known only when the graph runs: then these
// point at its seed and offset on the device, and a key's offset counts what the capture has drawn before.
struct Captured {
  const int64_t* seed = nullptr;
  const int64_t* offset = nullptr;
};

// The key that a draw from torch's CUDA generator, at this Philox state, stands for.
FASTINIT_HD constexpr Key drawn_key(uint64_t seed, uint64_t offset) {
  return {fold_in(seed, offset, Domain::CudaGenerator), 0};
}

FASTINIT_HD Key resolve(const Key& key, const Captured& captured) {
  if (captured.seed == nullptr) return key;
  return drawn_key(static_cast<uint64_t>(*captured.seed), static_cast<uint64_t>(*captured.offset) + key.offset);
}

}  // namespace fastinit
