// The CPU's part of the operators: keys from its generator, and loops over threads around the kernels of cpu/.
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/pages.h"
#include "cpu/pattern.h"
#include "cpu/sparse.h"
#include "ops.h"
#include "parallel.h"

namespace fastinit {

// One 64-bit number a key is drawn from the generator and mixed with its 64-bit seed, of which torch's own CPU generator
// uses only the lower half.
void draw_from_cpu(const Generator& generator, size_t count, Key* keys) {
  auto* g = at::get_generator_or_default<at::CPUGeneratorImpl>(generator, at::detail::getDefaultCPUGenerator());
  const std::lock_guard<std::mutex> lock(g->mutex_);
  for (size_t i = 0; i < count; ++i) keys[i] = {fold_in(g->current_seed(), g->random64(), Domain::CpuGenerator), 0};
}

namespace {

constexpr int64_t kUnit = 4096;  // elements; units start on whole vectors and whole lines
constexpr int64_t kPatternUnit = 4 * kUnit;
constexpr int64_t kGrainUnits = 8;  // below 32768 elements a second thread costs more than it brings

// Writes units [begin, end) of contiguous memory, which get their pages a step ahead of the values.
template <class Write>
void write_flat(char* data, int64_t unit_bytes, int64_t bytes, int64_t begin, int64_t end, const Write& write) {
  constexpr int64_t kWorth = 256 << 10, kStep = 512 << 10;  // bytes: less is left to faults; a step stays in the cache
  const int64_t first = begin * unit_bytes, last = std::min(end * unit_bytes, bytes);
  if (last - first < kWorth) return write(begin, end);
  FreshPages pages(data + first, last - first);
  const int64_t step = std::max<int64_t>(1, kStep / unit_bytes);
  for (int64_t b = begin; b < end; b += step) {
    const int64_t e = std::min(b + step, end);
    pages.reach(data + std::min(e * unit_bytes, last));
    write(b, e);
  }
}

// A fill as so many units of work, any run of which can be done by itself.
class FillWork {
 public:
  explicit FillWork(const Fill& f) : fill_(f), units_((f.count + kUnit - 1) / kUnit) {
    if (!f.flat()) units_ = panels_.emplace(f).tiles;
  }

  int64_t units() const { return units_; }
  // Memory that is written in another order than it lies in gets its pages before.
  void prepare() const {
    if (!panels_ || !fill_.dense()) return;
    char* const data = static_cast<char*>(fill_.data);
    parallel(fill_.count * item_size(fill_.dtype), int64_t{4} << 20,
             [&](int64_t begin, int64_t end) { FreshPages(data + begin, end - begin).reach(data + end); });
  }
  void run(int64_t begin, int64_t end) const {
    if (panels_) return kernels().fill_tiles(fill_, *panels_, begin, end);
    const auto write = [&](int64_t b, int64_t e) {
      kernels().fill_range(fill_, b * kUnit, std::min(e * kUnit, fill_.count));
    };
    const int64_t item = item_size(fill_.dtype);
    write_flat(static_cast<char*>(fill_.data), kUnit * item, fill_.count * item, begin, end, write);
  }

 private:
  const Fill& fill_;
  std::optional<Panels> panels_;  // unless it is flat
  int64_t units_;
};

class PatternWork {
 public:
  explicit PatternWork(const PatternFill& f) : fill_(f) {}

  int64_t units() const { return (fill_.count + kPatternUnit - 1) / kPatternUnit; }
  void prepare() const {}
  void run(int64_t begin, int64_t end) const {
    const auto write = [&](int64_t b, int64_t e) {
      fill_pattern(fill_, b * kPatternUnit, std::min(e * kPatternUnit, fill_.count));
    };
    if (!fill_.flat()) return write(begin, end);
    const int64_t item = fill_.item_size;
    write_flat(static_cast<char*>(fill_.data), kPatternUnit * item, fill_.count * item, begin, end, write);
  }

 private:
  const PatternFill& fill_;
};

template <class Work>
void run(const Work& w) {
  if (w.units() <= kGrainUnits) return w.run(0, w.units());
  w.prepare();
  parallel(w.units(), kGrainUnits, [&](int64_t begin, int64_t end) { w.run(begin, end); });
}

FillWork work_of(const Fill& f) { return FillWork(f); }
PatternWork work_of(const PatternFill& f) { return PatternWork(f); }

class Cpu final : public Device {
 public:
  void check(const at::Generator& generator) const override {
    TORCH_CHECK(generator.device().is_cpu(), "Expected a 'cpu' device type for generator but found '",
                generator.device().type(), "'");
  }

  Captured draw(const at::Tensor&, const Generator& generator, size_t count, Key* keys) const override {
    draw_from_cpu(generator, count, keys);
    return {};
  }

  void fill(const at::Tensor&, const Fill& f, const Captured&) const override { run(work_of(f)); }

  void fill(const at::Tensor&, const PatternFill& f) const override { run(work_of(f)); }

  void clear(const at::Tensor&, const SparseFill& f, const Captured&) const override {
    parallel(f.columns, std::max<int64_t>(1, kUnit / f.global_rows),
             [&](int64_t begin, int64_t end) { clear_columns(f, begin, end); });
  }

  bool orthogonalize(const at::Tensor&, const SmallMatrices& s) const override {
    if (!is_small(s)) return false;
    const int64_t work = s.rows * s.columns * s.shorter();
    constexpr std::align_val_t kLine{64};
    constexpr int64_t kGrainWork = 1 << 17;  // multiplications worth a thread
    parallel(s.count, std::max<int64_t>(1, kGrainWork / work), [&](int64_t begin, int64_t end) {
      const auto bytes = static_cast<size_t>(small_scratch_bytes(s));
      void* const scratch = ::operator new(bytes, kLine);  // no vector lies across two lines
      kernels().orthogonalize(s, begin, end, scratch);
      ::operator delete(scratch, kLine);
    });
    return true;
  }

  // One parallel region over the units of all tensors, one after the other.
  void fill_many(const Batch& batch, const Captured&) const override {
    std::vector<int64_t> ends(batch.size());  // the units of a tensor and of those before it
    int64_t units = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (batch.included(i)) {
        batch.describe(i, [&](const auto& f) {
          const auto work = work_of(f);
          work.prepare();
          units += work.units();
        });
      }
      ends[i] = units;
    }
    if (units == 0) return;
    parallel(units, kGrainUnits, [&](int64_t begin, int64_t end) {
      size_t i = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
      while (begin < end) {
        const int64_t first = i == 0 ? 0 : ends[i - 1];
        const int64_t stop = std::min(end, ends[i]);
        if (begin < stop) batch.describe(i, [&](const auto& f) { work_of(f).run(begin - first, stop - first); });
        begin = stop;
        ++i;
      }
    });
  }
};

constexpr Cpu kCpu;

}  // namespace

TORCH_LIBRARY_IMPL(fastinit, CPU, m) { implement<kCpu>(m); }

}  // namespace fastinit
