// As much of CUDA's runtime as csrc/cuda uses, on the CPU: a C++ compiler that finds this header in place of CUDA's own
// compiles the very .cu files, and a launch runs every thread of every block, one after the other.
//
// The threads of a block are contexts of their own, switched only at __syncthreads, in rising order in one block and
// falling in the next: what depends on the order of threads, or reads what another thread has yet to write, shows.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __launch_bounds__(threads)
#define __grid_constant__ &  // a parameter in constant memory is not copied for each thread
#define __shared__ static    // one block runs at a time

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned n) : x(n) {}
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

using cudaError_t = int;
using cudaStream_t = struct CUstream_st*;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "none"; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0; }

enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };
// Few, so that a block has several tiles of a fill of a few thousand elements.
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) { return *value = 3, cudaSuccess; }

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

namespace cuda_on_cpu {

// The threads of one block.
class Block {
 public:
  explicit Block(unsigned threads) : threads_(threads) {
    for (Thread& t : threads_) t.stack = std::make_unique<char[]>(kStack);
  }

  void run(const std::function<void()>& body, bool rising) {
    running() = this;
    body_ = &body;
    for (Thread& t : threads_) {
      getcontext(&t.context);
      t.context.uc_stack.ss_sp = t.stack.get();
      t.context.uc_stack.ss_size = kStack;
      t.context.uc_link = &scheduler_;
      t.done = false;
      makecontext(&t.context, &Block::enter, 0);
    }
    const unsigned n = static_cast<unsigned>(threads_.size());
    for (unsigned left = n; left > 0;) {  // from one barrier to the next
      unsigned ended = 0;
      for (unsigned i = 0; i < n; ++i) {
        current_ = rising ? i : n - 1 - i;
        if (threads_[current_].done) continue;
        threadIdx.x = current_;
        swapcontext(&scheduler_, &threads_[current_].context);
        ended += threads_[current_].done;
      }
      if (ended != 0 && ended != left) {
        std::fprintf(stderr, "%u threads of a block ended and %u wait at a barrier\n", ended, left - ended);
        std::exit(3);
      }
      left -= ended;
    }
  }

  void barrier() {
    const unsigned self = current_;
    swapcontext(&threads_[self].context, &scheduler_);
    threadIdx.x = self;
  }

  static Block*& running() {
    static Block* block = nullptr;
    return block;
  }

 private:
  struct Thread {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
  };

  static void enter() {
    Block& b = *running();
    (*b.body_)();
    b.threads_[b.current_].done = true;
  }

  static constexpr size_t kStack = size_t{128} << 10;
  std::vector<Thread> threads_;
  ucontext_t scheduler_;
  const std::function<void()>* body_ = nullptr;
  unsigned current_ = 0;
};

}  // namespace cuda_on_cpu

inline void __syncthreads() { cuda_on_cpu::Block::running()->barrier(); }

template <class T>
T atomicAdd(T* at, T more) {
  const T before = *at;
  *at += more;
  return before;
}

template <class Params>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(const Params&), const Params& params) {
  static cuda_on_cpu::Block block(config->blockDim.x);
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
    block.run([&] { kernel(params); }, blockIdx.x % 2 == 0);
  }
  return cudaSuccess;
}
