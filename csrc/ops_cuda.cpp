// CUDA's part of the operators, the only file that knows both torch and CUDA: the device and stream in force, keys from
// torch's CUDA generator, and the launchers of cuda/.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <mutex>
#include <type_traits>
#include <vector>

#include "cuda/fill.h"
#include "ops.h"

namespace fastinit {
namespace {

// What a key advances the offset of a CUDA generator by: the least that torch allows.
constexpr uint64_t kOffsets = 4;

class Cuda final : public Device {
 public:
  void check(const at::Generator& generator) const override {
    TORCH_CHECK(generator.device().is_cuda() || generator.device().is_cpu(),
                "Expected a 'cuda' device type for generator but found '", generator.device().type(), "'");
  }

  // A generator on the CPU owns its stream, and the device only executes: the values are those of a fill on the CPU.
  Captured draw(const at::Tensor& on, const Generator& generator, size_t count, Key* keys) const override {
    if (generator && generator->defined() && generator->device().is_cpu()) {
      draw_from_cpu(generator, count, keys);
      return {};
    }
    const c10::cuda::CUDAGuard guard(on.device());
    auto* g = at::get_generator_or_default<at::CUDAGeneratorImpl>(
        generator, at::cuda::detail::getDefaultCUDAGenerator(on.device().index()));
    // The kernel would read the generator's state where it lies.
    TORCH_CHECK(g->device() == on.device() ||
                    c10::cuda::currentStreamCaptureStatusMayInitCtx() == c10::cuda::CaptureStatus::None,
                "while a CUDA graph is captured the generator must be on the tensor's device ", on.device(),
                ", but is on ", g->device());
    at::PhiloxCudaState state;
    {
      const std::lock_guard<std::mutex> lock(g->mutex_);
      state = g->philox_cuda_state(kOffsets * count);
    }
    for (size_t i = 0; i < count; ++i) {
      keys[i] = state.captured_ ? Key{0, state.offset_intragraph_ + kOffsets * i}
                                : drawn_key(state.seed_.val, state.offset_.val + kOffsets * i);
    }
    if (!state.captured_) return {};
    return {state.seed_.ptr, state.offset_.ptr};
  }

  void fill(const at::Tensor& on, const Fill& f, const Captured& captured) const override {
    const c10::cuda::CUDAGuard guard(on.device());
    cuda::fill(f, captured, stream());
  }

  void fill(const at::Tensor& on, const PatternFill& f) const override {
    const c10::cuda::CUDAGuard guard(on.device());
    cuda::fill(f, stream());
  }

  void clear(const at::Tensor& on, const SparseFill& f, const Captured& captured) const override {
    const c10::cuda::CUDAGuard guard(on.device());
    cuda::clear(f, captured, stream());
  }

  bool orthogonalize(const at::Tensor& on, const SmallMatrices& s) const override {
    if (!cuda::is_small(s)) return false;
    const c10::cuda::CUDAGuard guard(on.device());
    cuda::orthogonalize(s, stream());
    return true;
  }

  // Consecutive elements go together; each other layout has a launch of its own.
  void fill_many(const Batch& batch, const Captured& captured) const override {
    const c10::cuda::CUDAGuard guard(batch[0].device());
    std::vector<cuda::FlatFill> fills;
    std::vector<cuda::FlatPattern> patterns;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!batch.included(i)) continue;
      batch.describe(i, [&](const auto& f) {
        if constexpr (std::is_same_v<decltype(f), const Fill&>) {
          if (!f.flat()) return cuda::fill(f, captured, stream());
          fills.emplace_back(f);
        } else {
          if (!f.flat()) return cuda::fill(f, stream());
          patterns.emplace_back(f);
        }
      });
    }
    cuda::fill_many(fills, patterns, captured, stream());
  }

 private:
  static cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream(); }
};

constexpr Cuda kCuda;

}  // namespace

TORCH_LIBRARY_IMPL(fastinit, CUDA, m) { implement<kCuda>(m); }

}  // namespace fastinit
