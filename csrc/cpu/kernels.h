// What every instruction set offers: one table of functions over the description of a fill.
#pragma once

#include "../stream/panels.h"
#include "small.h"
#include "statistics.h"

namespace fastinit {

struct Kernels {
  const char* name;
  // A flat fill's elements [begin, end).
  void (*fill_range)(const Fill&, int64_t begin, int64_t end);
  // Tiles [begin, end) of any fill.
  void (*fill_tiles)(const Fill&, const Panels&, int64_t begin, int64_t end);
  // Words [first, first + count) of a stream, as they come.
  void (*words)(Key, Domain, int64_t first, int64_t count, uint32_t* out);
  // Matrices [begin, end), Gaussian before and orthogonal after.
  void (*orthogonalize)(const SmallMatrices&, int64_t begin, int64_t end, void* scratch);
  // Chunks [begin, end) of a reading: the moments of each, and the counts of all their codes added to those given.
  void (*survey)(const Reading&, int64_t begin, int64_t end, Moments* moments, int64_t* counts);
};

#define FASTINIT_DECLARE_KERNELS(isa) \
  namespace isa {                     \
  extern const Kernels kernels;       \
  }
#if defined(FASTINIT_HAVE_X86)
FASTINIT_DECLARE_KERNELS(isa_baseline)
FASTINIT_DECLARE_KERNELS(isa_v3)
FASTINIT_DECLARE_KERNELS(isa_v4)
#elif defined(FASTINIT_HAVE_NEON)
FASTINIT_DECLARE_KERNELS(isa_neon)
#else
FASTINIT_DECLARE_KERNELS(isa_baseline)
#endif

}  // namespace fastinit
