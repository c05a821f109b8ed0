// Starting a kernel: its grid, and what to do when it does not start.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace fastinit::cuda {

constexpr int kThreads = 256;

inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // or the next caller would find it
  throw std::runtime_error(std::string("CUDA error: ") + cudaGetErrorString(error));
}

// Multiprocessors of the current device.
inline int64_t processors() {
  int device = 0, count = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

// Every kernel takes its parameters as one struct: they lie in constant memory, where a graph keeps them too.
template <class Kernel, class Params>
void launch(Kernel* kernel, int64_t blocks, cudaStream_t stream, const Params& params) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, params));
}

}  // namespace fastinit::cuda
