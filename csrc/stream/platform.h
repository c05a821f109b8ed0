// The one place that knows which compiler reads the shared headers: g++, clang or nvcc, for the host or for a device.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define FASTINIT_HD __host__ __device__ __forceinline__
#define FASTINIT_UNROLL _Pragma("unroll")
#define FASTINIT_KEEP_LOOP _Pragma("unroll 1")
#else
#define FASTINIT_HD inline __attribute__((always_inline))
#define FASTINIT_UNROLL
#define FASTINIT_KEEP_LOOP
#endif

namespace fastinit {

template <class T>
FASTINIT_HD T least(T a, T b) {
  return a < b ? a : b;
}

}  // namespace fastinit

// Only ever read as constant expressions (see horner in lane.h), so device code needs no copy of them.
#define FASTINIT_CONSTANT static constexpr
