#include "parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace fastinit {
namespace {

std::atomic<bool> forked{false};

#if defined(__unix__) || defined(__APPLE__)
const int watch_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

void on_own_threads(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  const int64_t share = (count + threads - 1) / threads;
  std::vector<std::thread> others;
  for (int64_t begin = share; begin < count; begin += share) {
    others.emplace_back(body, begin, std::min(begin + share, count));
  }
  body(0, std::min(share, count));
  for (std::thread& t : others) t.join();
}

}  // namespace

void parallel(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= grain) return body(0, count);
  if (forked) return on_own_threads(count, grain, body);
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { body(begin, end); });
}

// The number of threads belongs to the process: calls that change it take turns.
std::mutex one_thread;

OneThreadAfterFork::OneThreadAfterFork() {
  if (!forked) return;
  one_thread.lock();
  threads_ = at::get_num_threads();
  at::set_num_threads(1);
}

OneThreadAfterFork::~OneThreadAfterFork() {
  if (threads_ == 0) return;
  at::set_num_threads(threads_);
  one_thread.unlock();
}

int openmp_team() {
#if defined(_OPENMP)
  if (forked) return 1;
  int team = 1;
#pragma omp parallel num_threads(at::get_num_threads())
  {
#pragma omp single
    team = omp_get_num_threads();
  }
  return team;
#else
  return 1;
#endif
}

}  // namespace fastinit
