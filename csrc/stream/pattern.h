// The description of a fill that repeats one element: constants and zeros of any type and layout.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "fill.h"

namespace fastinit {

constexpr int kMaxItem = 16;

// A strided destination, its dimensions merged and ordered from the widest memory stride to the narrowest.
struct PatternFill {
  void* data;
  unsigned char item[kMaxItem];
  int item_size;
  int dims = 0;
  int64_t count = 1;
  int64_t size[kMaxDims];
  int64_t stride[kMaxDims];  // in elements

  bool flat() const { return dims == 0 || (dims == 1 && stride[0] == 1); }
};

// Orders and merges the dimensions given; sizes of 1 are dropped. `f` is what lies in memory so: a fill, or a reading.
template <class Strided>
void set_layout(Strided& f, int dims, const int64_t* size, const int64_t* stride) {
  int order[kMaxDims];
  int n = 0;
  f.count = 1;
  for (int d = 0; d < dims; ++d) {
    f.count *= size[d];
    if (size[d] != 1) order[n++] = d;
  }
  std::sort(order, order + n, [&](int a, int b) { return std::abs(stride[a]) > std::abs(stride[b]); });
  f.dims = 0;
  for (int i = 0; i < n; ++i) {
    const int64_t s = size[order[i]], t = stride[order[i]];
    if (f.dims > 0 && f.stride[f.dims - 1] == s * t) {
      f.size[f.dims - 1] *= s;
      f.stride[f.dims - 1] = t;
    } else {
      f.size[f.dims] = s;
      f.stride[f.dims++] = t;
    }
  }
}

}  // namespace fastinit
