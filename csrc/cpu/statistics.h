// What one read of a tensor tells of its elements, and the description of such a read.
#pragma once

#include <limits>

#include "../stream/fill.h"

namespace fastinit {

// Where an element falls: below, in one of 126 bins, or above.
constexpr int kCodes = 128;

// Elements, in memory order, whose moments are summed as one: whoever shares out the work gives each thread some of
// these, so that the order of all sums is the same for any number of threads.
constexpr int64_t kReadingChunk = int64_t{1} << 16;

// A strided source, laid out by set_layout (stream/pattern.h): in the order of memory, not of the logical index.
struct Reading {
  const void* data = nullptr;
  DType dtype = DType::F32;  // of 16 bits or more
  int dims = 0;
  int64_t count = 0;
  int64_t size[kMaxDims];
  int64_t stride[kMaxDims];  // in elements
  // An element x has code (x - origin) * scale, each operation rounded to the working type (float64 for float64,
  // float32 for the rest), cut down to a whole number, at least 0 and less than kCodes. No codes where scale is 0.
  double origin = 0.0, scale = 0.0;

  bool flat() const { return dims == 0 || (dims == 1 && stride[0] == 1); }
  int64_t chunks() const { return (count + kReadingChunk - 1) / kReadingChunk; }
};

// Of the finite ones, but for the last three.
struct Moments {
  double count = 0;
  double base = 0, mean = 0;  // the mean is base + mean: of large numbers of float64 one would keep too little
  double squares = 0;         // of the differences from the mean, summed
  double least = std::numeric_limits<double>::infinity(), greatest = -std::numeric_limits<double>::infinity();
  int64_t zeros = 0;
  int64_t nans = 0, positive_infinities = 0, negative_infinities = 0;

  // Joins those of other elements (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm, 1979).
  FASTINIT_HD void add(const Moments& other) {
    if (other.count > 0) {
      if (count == 0) base = other.base;
      const double n = count + other.count;
      const double apart = (other.base - base) + (other.mean - mean);
      const double share = other.count / n;
      mean = mean + apart * share;
      squares = squares + other.squares + apart * apart * (count * share);
      count = n;
      least = other.least < least ? other.least : least;
      greatest = other.greatest > greatest ? other.greatest : greatest;
    }
    zeros += other.zeros;
    nans += other.nans;
    positive_infinities += other.positive_infinities;
    negative_infinities += other.negative_infinities;
  }
};

}  // namespace fastinit
