#include "pages.h"

#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastinit {
namespace {

// Two huge pages: the least that surely holds one whole.
[[maybe_unused]] constexpr int64_t kHugePageBytes = int64_t{4} << 20;

}  // namespace

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

void advise_huge_pages(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < kHugePageBytes || !huge_pages_wanted()) return;
  // Only the pages that lie wholly inside: the advice must not reach a neighbour's memory.
  constexpr uintptr_t page = uintptr_t{2} << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(bytes)) / page * page;
  // A refusal (a file mapping, a kernel without huge pages) costs speed only.
  if (begin < end) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}

}  // namespace fastinit
