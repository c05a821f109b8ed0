// Fills that repeat one element: constants and zeros of any type and layout.
#pragma once

#include <cstdint>

#include "../stream/fill.h"

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

// Orders and merges the dimensions given; sizes of 1 are dropped.
void set_layout(PatternFill& f, int dims, const int64_t* size, const int64_t* stride);

// Elements [begin, end), counted in memory order.
void fill_pattern(const PatternFill& f, int64_t begin, int64_t end);

}  // namespace fastinit
