#include "pages.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace fastinit {

bool huge_pages_wanted() {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  static const bool wanted = [] {
    const char* value = std::getenv("FASTINIT_HUGE_PAGES");
    return value == nullptr || std::strcmp(value, "0") != 0;
  }();
  return wanted;
#else
  return false;
#endif
}

#if defined(__linux__) && defined(MADV_HUGEPAGE)

namespace {

constexpr uintptr_t kHuge = uintptr_t{2} << 20;
constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE of Linux 5.14, which older headers do not name

uintptr_t page_bytes() {
  static const auto bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

bool present(uintptr_t address) {
  unsigned char there = 1;  // where this cannot be asked, faults will do
  (void)mincore(reinterpret_cast<void*>(address / page_bytes() * page_bytes()), 1, &there);
  return there & 1;
}

// Before Linux 5.14 the pages come by faults as ever.
void populate(uintptr_t begin, uintptr_t end) {
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateWrite);
}

// Nanoseconds that 2 MiB cost lately, by small pages and by a huge one. Races between threads lose a sample.
std::atomic<float> cost[2];
std::atomic<uint32_t> turns{0};

bool choose_huge() {
  const float small = cost[0].load(std::memory_order_relaxed), huge = cost[1].load(std::memory_order_relaxed);
  const bool cheaper = huge <= small;  // at first both are 0: each is tried once
  // The other is tried every so often, for what free memory there is changes with time; less often where it is dear.
  const uint32_t every = std::max(small, huge) > 3.0f * std::min(small, huge) ? 256 : 32;
  return (turns.fetch_add(1, std::memory_order_relaxed) + 1) % every != 0 ? cheaper : !cheaper;
}

void back_block(uintptr_t begin) {
  using Clock = std::chrono::steady_clock;
  const bool huge = choose_huge();
  const auto start = Clock::now();
  if (huge) (void)madvise(reinterpret_cast<void*>(begin), kHuge, MADV_HUGEPAGE);
  populate(begin, begin + kHuge);
  const float taken = std::chrono::duration<float, std::nano>(Clock::now() - start).count();
  const float before = cost[huge].load(std::memory_order_relaxed);
  cost[huge].store(before == 0.0f ? taken : 0.75f * before + 0.25f * taken, std::memory_order_relaxed);
}

}  // namespace

FreshPages::FreshPages(void* data, int64_t bytes) {
  // Only pages that lie wholly inside: the rest may be a neighbour's.
  const auto first = reinterpret_cast<uintptr_t>(data), last = first + static_cast<uintptr_t>(bytes);
  done_ = (first + page_bytes() - 1) / page_bytes() * page_bytes();
  end_ = last / page_bytes() * page_bytes();
}

void FreshPages::take(uintptr_t until) {
  while (done_ < end_ && done_ < until) {
    const uintptr_t next = std::min((done_ / kHuge + 1) * kHuge, end_);
    if (!present(done_ + (next - done_) / 2)) {
      if (next - done_ == kHuge && huge_pages_wanted()) {
        back_block(done_);
      } else {
        populate(done_, next);
      }
    }
    done_ = next;
  }
  if (done_ >= end_) done_ = UINTPTR_MAX;
}

#else

FreshPages::FreshPages(void*, int64_t) : done_(UINTPTR_MAX), end_(0) {}
void FreshPages::take(uintptr_t) {}

#endif

}  // namespace fastinit
