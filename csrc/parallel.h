// Parallel loops over torch's intra-op threads, also where OpenMP cannot go.
#pragma once

#include <cstdint>
#include <functional>

namespace fastinit {

// Calls body(begin, end) on ranges that cover [0, count), on at most torch.get_num_threads() threads, no range shorter
// than `grain` but the last. In a forked child, where the parent's OpenMP threads no longer exist and a parallel region
// would wait for them for ever, on threads of its own. `body` must not throw.
void parallel(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// In a forked child, for as long as it lives: torch's own operations on one thread, which need no OpenMP, and other
// threads of the child that want the same wait. Elsewhere nothing.
class OneThreadAfterFork {
 public:
  OneThreadAfterFork();
  ~OneThreadAfterFork();
  OneThreadAfterFork(const OneThreadAfterFork&) = delete;
  OneThreadAfterFork& operator=(const OneThreadAfterFork&) = delete;

 private:
  int threads_ = 0;  // to go back to; 0 where nothing was changed
};

// Threads that a parallel region really gets, measured.
int openmp_team();

}  // namespace fastinit
