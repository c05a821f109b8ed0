// Who fills: the kernels of the CPU, or those of CUDA on the CPU. Each program is linked with one of them.
#pragma once

#include <string>
#include <vector>

#include "../../csrc/cpu/statistics.h"
#include "../../csrc/stream/fill.h"
#include "../../csrc/stream/matrices.h"
#include "../../csrc/stream/pattern.h"
#include "../../csrc/stream/sparse.h"
#include "lanes.h"

namespace fastinit::test {

// The ways of filling that this machine can run, and the choice of one, which must be among them.
std::vector<std::string> engines();
void choose_engine(const std::string& name);

// Fills that have `key` all the same. An engine may take others instead, and tells which: the `i`th fill of a call.
Key engine_key(Key key, size_t i);
void engine_fill(const std::vector<Fill>& fills);
void engine_pattern(const PatternFill& f);
void engine_sparse(const SparseFill& s);
void engine_words(Key key, Domain domain, int64_t first, int64_t count, uint32_t* out);
const LaneRuns& engine_lanes();

// Gaussian matrices to orthogonal ones, if they are small enough for the engine's kernel.
bool engine_orthogonalizes(const SmallMatrices& s);
void engine_orthogonalize(const SmallMatrices& s);

// The moments of each chunk, and the counts of all codes, where the engine reads.
bool engine_reads();
void engine_survey(const Reading& r, Moments* moments, int64_t* counts);

}  // namespace fastinit::test
