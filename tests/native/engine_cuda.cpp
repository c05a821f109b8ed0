#include <stdexcept>

#include "../../csrc/cuda/fill.h"
#include "../../csrc/cuda/lane.h"
#include "engine.h"

namespace fastinit::test {
namespace {

constexpr LaneRuns kLanes = {run_lanes<cuda::LaneF32>, run_lanes<ScalarF64>};

// One launch a fill; one for all; and, as in a graph's replay, keys from a generator whose state lies in memory.
enum class Mode { One, Many, Captured };
Mode mode = Mode::One;

constexpr int64_t kSeed = 0x0123456789abcdef, kOffset = 1000;
constexpr uint64_t kStep = 4;

}  // namespace

std::vector<std::string> engines() { return {"one", "many", "captured"}; }

void choose_engine(const std::string& name) {
  mode = name == "one" ? Mode::One : name == "many" ? Mode::Many : Mode::Captured;
  if (mode == Mode::Captured && name != "captured") throw std::invalid_argument("no engine " + name);
}

Key engine_key(Key key, size_t i) { return mode == Mode::Captured ? drawn_key(kSeed, kOffset + kStep * i) : key; }

void engine_fill(const std::vector<Fill>& fills) {
  const Captured captured = mode == Mode::Captured ? Captured{&kSeed, &kOffset} : Captured{};
  std::vector<cuda::FlatFill> flat;
  for (size_t i = 0; i < fills.size(); ++i) {
    Fill f = fills[i];
    if (f.count == 0) continue;  // the callers' part, as everywhere
    if (mode == Mode::Captured) f.key = {0, kStep * i};
    if (mode == Mode::One || !f.flat()) {
      cuda::fill(f, captured, nullptr);
    } else {
      flat.emplace_back(f);
    }
  }
  cuda::fill_many(flat, {}, captured, nullptr);
}

void engine_pattern(const PatternFill& f) {
  if (f.count == 0) return;
  if (mode == Mode::Many && f.flat()) return cuda::fill_many({}, {cuda::FlatPattern(f)}, {}, nullptr);
  cuda::fill(f, nullptr);
}

void engine_sparse(const SparseFill& s) {
  if (mode != Mode::Captured) return cuda::clear(s, {}, nullptr);
  SparseFill captured = s;
  captured.key = {0, 0};
  cuda::clear(captured, {&kSeed, &kOffset}, nullptr);
}

void engine_words(Key key, Domain domain, int64_t first, int64_t count, uint32_t* out) {
  const KeySchedule keys = expand(key.seed);
  for (int64_t i = first; i < first + count; ++i) {
    const uint64_t counter = key.offset + static_cast<uint64_t>(i / 4);
    const Words counters = {
        {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(domain), 0}};
    *out++ = philox4x32(counters, keys).w[i % 4];
  }
}

const LaneRuns& engine_lanes() { return kLanes; }

bool engine_orthogonalizes(const SmallMatrices& s) { return cuda::is_small(s); }

void engine_orthogonalize(const SmallMatrices& s) { cuda::orthogonalize(s, nullptr); }

bool engine_reads() { return false; }

void engine_survey(const Reading&, Moments*, int64_t*) {}

}  // namespace fastinit::test
