// Pages for memory that nothing has touched yet.
#pragma once

#include <cstdint>

namespace fastinit {

// Gives fresh memory its pages just before it is written, so that they are still in the cache then.
//
// On memory that nothing has touched, page faults cost more than generating the values. Asking for many pages in one
// call saves the traps, and huge pages save nearly all of the rest. But not everywhere: a host that takes free memory
// back from its virtual machine, or one that must move pages to make room, can make a huge page several times dearer
// than the 512 small ones it replaces. So both are timed as they are used, and the cheaper is taken.
class FreshPages {
 public:
  // Of memory that one thread is about to write from front to back.
  FreshPages(void* data, int64_t bytes);

  // Sees to it that what lies before `until` has its pages. Costs a fraction of a microsecond per 2 MiB of memory that
  // has them already.
  void reach(const void* until) {
    if (reinterpret_cast<uintptr_t>(until) > done_) take(reinterpret_cast<uintptr_t>(until));
  }

 private:
  void take(uintptr_t until);

  uintptr_t done_;  // the start of the first page that has not been looked at
  uintptr_t end_;   // the end of the last that lies wholly inside
};

// Whether huge pages are tried at all; not where FASTINIT_HUGE_PAGES=0 or the platform has none.
bool huge_pages_wanted();

}  // namespace fastinit
