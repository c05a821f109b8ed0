#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace fastinit {

std::vector<const Kernels*> compiled_kernels() {
#if defined(FASTINIT_HAVE_X86)
  return {&isa_baseline::kernels, &isa_v3::kernels, &isa_v4::kernels};
#elif defined(FASTINIT_HAVE_NEON)
  return {&isa_neon::kernels};
#else
  return {&isa_baseline::kernels};
#endif
}

bool supported(const Kernels& k) {
#if defined(FASTINIT_HAVE_X86)
  // The features that the compiler may use under -march=x86-64-v3 and -v4 and that matter here; the others come with
  // them on every processor made.
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  if (&k == &isa_v3::kernels) return v3;
  if (&k == &isa_v4::kernels) {
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
  }
#else
  (void)k;
#endif
  return true;
}

namespace {

const Kernels* choose(const std::string& name) {
  const Kernels* best = nullptr;
  std::string runnable;
  for (const Kernels* k : compiled_kernels()) {
    if (!supported(*k)) continue;
    if (name == k->name) return k;
    best = k;
    runnable += std::string(runnable.empty() ? "" : ", ") + k->name;
  }
  if (name.empty()) return best;
  throw std::invalid_argument("fastinit: no instruction set '" + name + "' here; one of: " + runnable);
}

std::atomic<const Kernels*> current{nullptr};

}  // namespace

const Kernels& kernels() {
  const Kernels* k = current.load(std::memory_order_acquire);
  if (k == nullptr) {
    const char* wanted = std::getenv("FASTINIT_ISA");
    k = choose(wanted == nullptr ? "" : wanted);
    current.store(k, std::memory_order_release);
  }
  return *k;
}

void force_kernels(const std::string& name) { current.store(choose(name), std::memory_order_release); }

}  // namespace fastinit
