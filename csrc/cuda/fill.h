// What the CUDA backend offers: the fills of cpu/, on the current device, in order on a stream. Nothing here waits.
#pragma once

#include <cuda_runtime_api.h>

#include <cstring>
#include <vector>

#include "../stream/fill.h"
#include "../stream/matrices.h"
#include "../stream/pattern.h"
#include "../stream/source.h"
#include "../stream/sparse.h"

namespace fastinit::cuda {

// A fill of consecutive elements, without what only other layouts need.
struct FlatFill {
  char* data;
  int64_t count, origin;
  Key key;
  DType dtype;
  Distribution distribution;

  explicit FlatFill(const Fill& f)
      : data(static_cast<char*>(f.data)),
        count(f.count),
        origin(f.origin),
        key(f.key),
        dtype(f.dtype),
        distribution(f.distribution) {}
};

// The same for a repeated element, in bytes.
struct FlatPattern {
  char* data;
  int64_t bytes;
  int item_size;
  unsigned char item[kMaxItem];

  explicit FlatPattern(const PatternFill& f)
      : data(static_cast<char*>(f.data)), bytes(f.count * f.item_size), item_size(f.item_size) {
    memcpy(item, f.item, sizeof item);
  }
};

// While a graph is captured a fill's key.offset counts what the capture has drawn (stream/source.h).
void fill(const Fill&, const Captured&, cudaStream_t);
void fill(const PatternFill&, cudaStream_t);
void clear(const SparseFill&, const Captured&, cudaStream_t);

// Gaussian matrices to orthogonal ones, in place; they must be small.
bool is_small(const SmallMatrices&);
void orthogonalize(const SmallMatrices&, cudaStream_t);

// All of them, which do not overlap, in few launches: one for each distribution and type, per some hundred fills.
void fill_many(const std::vector<FlatFill>&, const std::vector<FlatPattern>&, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
