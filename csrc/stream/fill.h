// The description of one fill, all that a backend is told: where, in which order, with what, from which key.
#pragma once

#include "distributions.h"
#include "formats.h"
#include "philox.h"

namespace fastinit {

enum class Kind : uint8_t { Uniform, Normal, Narrow, Tail, Central, Full };

// A tagged union: `single` is read for targets computed in float32, `wide` for float64.
struct Distribution {
  Kind kind;
  union Single {
    Uniform<float> uniform;
    Normal<float> normal;
    Narrow<float> narrow;
    Tail<float> tail;
    Central<float> central;
    Full<float> full;
  } single;
  union Wide {
    Uniform<double> uniform;
    Normal<double> normal;
    Narrow<double> narrow;
    Tail<double> tail;
    Full<double> full;
  } wide;
};

constexpr int kMaxDims = 64;

// `count` elements in `dims` dimensions, the last varying fastest in logical order. Element (c0, c1, ...) lies at
// data + sum(c * memory_stride) elements and has logical index `origin` + sum(c * index_stride) in the global tensor.
// Dimensions of size 1 are dropped and neighbours merged where both kinds of stride allow, so that a contiguous tensor,
// or a whole row block of one, has one dimension with both strides 1.
struct Fill {
  void* data = nullptr;
  int dims = 0;
  int64_t count = 0;
  int64_t size[kMaxDims];
  int64_t memory_stride[kMaxDims];
  int64_t index_stride[kMaxDims];
  int64_t origin = 0;
  DType dtype = DType::F32;
  Distribution distribution;
  Key key{0, 0};

  bool flat() const { return dims == 0 || (dims == 1 && memory_stride[0] == 1 && index_stride[0] == 1); }

  // Whether the elements lie without gaps, in whatever order. (torch's strides are never negative.)
  bool dense() const {
    int64_t span = 1;
    for (int d = 0; d < dims; ++d) span += (size[d] - 1) * memory_stride[d];
    return span == count;
  }
};

}  // namespace fastinit
