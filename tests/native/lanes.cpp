// The lanes of one instruction set; compiled once for each, as csrc/cpu/kernels.cpp is.
#include "lanes.h"

#include "../../csrc/cpu/simd.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

extern const test::LaneRuns lane_runs;
const test::LaneRuns lane_runs = {test::run_lanes<Lane32>, test::run_lanes<Lane64>};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
