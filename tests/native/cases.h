// What is filled: every number format, every form of every distribution, every kind of layout, the awkward places of
// the counter; then constants and sparse columns.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "buffer.h"

namespace fastinit::test {

struct Case {
  std::string name;
  // The memory after the fill, by the reference (`scalar`) or by the kernels in force.
  std::function<Buffer(bool scalar)> run;
};

// Throws std::logic_error if a distribution is not planned in the form that its case is meant to reach.
std::vector<Case> all_cases();

// orthogonal.cpp's part of them.
void add_orthogonal(std::vector<Case>& cases);

// reading.cpp's part: what is read, and not written.
void add_readings(std::vector<Case>& cases);

}  // namespace fastinit::test
