// Parallel loops over torch's intra-op threads, also where OpenMP cannot go.
#pragma once

#include <cstdint>
#include <functional>

namespace fastinit {

// Calls body(begin, end) on ranges that cover [0, count), on at most torch.get_num_threads() threads, no range shorter
// than `grain` but the last. In a forked child, where the parent's OpenMP threads no longer exist and a parallel region
// would wait for them for ever, on threads of its own. `body` must not throw.
void parallel(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// Threads that a parallel region really gets, measured.
int openmp_team();

}  // namespace fastinit
