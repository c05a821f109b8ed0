// Fills that repeat one element, on the CPU.
#pragma once

#include "../stream/pattern.h"

namespace fastinit {

// Elements [begin, end), counted in memory order.
void fill_pattern(const PatternFill& f, int64_t begin, int64_t end);

}  // namespace fastinit
