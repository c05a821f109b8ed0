#include <new>

#include "../../csrc/cpu/dispatch.h"
#include "../../csrc/cpu/pattern.h"
#include "../../csrc/cpu/sparse.h"
#include "engine.h"

namespace fastinit {

#define FASTINIT_DECLARE_LANES(isa)      \
  namespace isa {                        \
  extern const test::LaneRuns lane_runs; \
  }
#if defined(FASTINIT_HAVE_X86)
FASTINIT_DECLARE_LANES(isa_baseline)
FASTINIT_DECLARE_LANES(isa_v3)
FASTINIT_DECLARE_LANES(isa_v4)
#elif defined(FASTINIT_HAVE_NEON)
FASTINIT_DECLARE_LANES(isa_neon)
#else
FASTINIT_DECLARE_LANES(isa_baseline)
#endif

namespace test {

std::vector<std::string> engines() {
  std::vector<std::string> names;
  for (const Kernels* k : compiled_kernels()) {
    if (supported(*k)) names.emplace_back(k->name);
  }
  return names;
}

void choose_engine(const std::string& name) { force_kernels(name); }

Key engine_key(Key key, size_t) { return key; }

// Each in two parts: what is written must not depend on how threads share the work.
void engine_fill(const std::vector<Fill>& fills) {
  const Kernels& k = kernels();
  for (const Fill& f : fills) {
    if (f.flat()) {
      const int64_t cut = f.count * 5 / 8;
      k.fill_range(f, cut, f.count);
      k.fill_range(f, 0, cut);
    } else {
      Panels panels(f);
      const int64_t cut = panels.tiles * 5 / 8;
      k.fill_tiles(f, panels, 0, cut);
      panels.large = true;  // for which it would otherwise take many millions of elements
      k.fill_tiles(f, panels, cut, panels.tiles);
    }
  }
}

void engine_pattern(const PatternFill& f) {
  const int64_t cut = f.count * 5 / 8;
  fill_pattern(f, cut, f.count);
  fill_pattern(f, 0, cut);
}

void engine_sparse(const SparseFill& s) { clear_columns(s, 0, s.columns); }

void engine_words(Key key, Domain domain, int64_t first, int64_t count, uint32_t* out) {
  kernels().words(key, domain, first, count, out);
}

bool engine_orthogonalizes(const SmallMatrices& s) { return is_small(s); }

void engine_orthogonalize(const SmallMatrices& s) {
  constexpr std::align_val_t line{64};
  void* const scratch = ::operator new(static_cast<size_t>(small_scratch_bytes(s)), line);
  kernels().orthogonalize(s, 0, 1, scratch);
  kernels().orthogonalize(s, 1, s.count, scratch);
  ::operator delete(scratch, line);
}

bool engine_reads() { return true; }

void engine_survey(const Reading& r, Moments* moments, int64_t* counts) {
  for (int64_t c = 0; c < r.chunks(); ++c) kernels().survey(r, c, c + 1, moments + c, counts);
}

const LaneRuns& engine_lanes() {
  const std::string name = kernels().name;
#if defined(FASTINIT_HAVE_X86)
  return name == "v4" ? isa_v4::lane_runs : name == "v3" ? isa_v3::lane_runs : isa_baseline::lane_runs;
#elif defined(FASTINIT_HAVE_NEON)
  return isa_neon::lane_runs;
#else
  return isa_baseline::lane_runs;
#endif
}

}  // namespace test
}  // namespace fastinit
