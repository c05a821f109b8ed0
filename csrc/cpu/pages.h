// Huge pages for large fills of fresh memory.
#pragma once

#include <cstdint>

namespace fastinit {

// Asks the system to back [data, data + bytes) with huge pages. On memory that nothing has touched yet, the page faults
// of 4 KiB pages cost more than generating the values; on memory that is in use the advice changes nothing now. Only
// for 4 MiB or more; does nothing where the platform has no such advice or FASTINIT_HUGE_PAGES=0.
void advise_huge_pages(void* data, int64_t bytes);

bool huge_pages_wanted();

}  // namespace fastinit
