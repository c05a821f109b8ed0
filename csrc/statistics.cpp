// The operator that reads: what fastinit.audit knows of many tensors, in one pass over their memory.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "cpu/dispatch.h"
#include "laws.h"
#include "parallel.h"
#include "stream/pattern.h"

namespace fastinit {
namespace {

// Numbers of a tensor before its counts: elements, mean, sum of squared differences from it, least, greatest; zeros, NaNs, positive
// and negative infinities. The first five are of the finite elements.
constexpr int64_t kNumbers = 9;

Reading describe(const at::Tensor& self, double origin, double scale) {
  TORCH_CHECK(self.dim() < kMaxDims, "fastinit reads at most ", kMaxDims - 1, " dimensions");
  TORCH_CHECK_VALUE(std::isfinite(origin) && std::isfinite(scale) && scale >= 0.0,
                    "statistics expects a finite origin and a finite scale >= 0, but found origin=", origin,
                    " and scale=", scale);
  Reading r;
  r.dtype = random_dtype(self, "statistics");
  TORCH_CHECK_NOT_IMPLEMENTED(!self.is_complex() && item_size(r.dtype) > 1, "\"statistics\" not implemented for '",
                              toString(self.scalar_type()), "'");
  r.data = self.const_data_ptr();
  set_layout(r, static_cast<int>(self.dim()), self.sizes().data(), self.strides().data());
  r.origin = origin;
  r.scale = scale;
  return r;
}

// One parallel region over the chunks of all tensors, one after the other.
at::Tensor statistics(at::TensorList self, at::ArrayRef<double> origins, at::ArrayRef<double> scales) {
  const size_t count = self.size();
  TORCH_CHECK_VALUE(origins.size() == count && scales.size() == count,
                    "statistics expects an origin and a scale for each of ", count, " tensors, but got ",
                    origins.size(), " and ", scales.size());
  // A description takes a kilobyte, most of it for dimensions that no tensor has: made when it is wanted.
  const auto reading = [&](size_t i) { return describe(self[i], origins[i], scales[i]); };
  std::vector<int64_t> ends(count);  // the chunks of a tensor and of those before it
  int64_t chunks = 0;
  for (size_t i = 0; i < count; ++i) ends[i] = chunks += reading(i).chunks();

  std::vector<Moments> moments(static_cast<size_t>(chunks));
  std::vector<int64_t> counts(count * kCodes);
  std::mutex adding;
  constexpr int64_t grain = 2;  // chunks that are worth a thread
  parallel(chunks, grain, [&](int64_t begin, int64_t end) {
    size_t i = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (; begin < end; ++i) {
      const int64_t first = i == 0 ? 0 : ends[i - 1];
      const int64_t stop = std::min(end, ends[i]);
      if (begin == stop) continue;
      int64_t own[kCodes] = {};
      kernels().survey(reading(i), begin - first, stop - first, &moments[static_cast<size_t>(begin)], own);
      const std::lock_guard<std::mutex> lock(adding);
      for (int c = 0; c < kCodes; ++c) counts[i * kCodes + static_cast<size_t>(c)] += own[c];
      begin = stop;
    }
  });

  at::Tensor out = at::empty({static_cast<int64_t>(count), kNumbers + kCodes}, at::kDouble);
  double* to = out.mutable_data_ptr<double>();
  for (size_t i = 0, chunk = 0; i < count; ++i) {
    Moments all;
    for (; chunk < static_cast<size_t>(ends[i]); ++chunk) all.add(moments[chunk]);
    const bool none = all.count == 0;
    *to++ = all.count;
    for (const double x : {all.base + all.mean, all.squares, all.least, all.greatest}) *to++ = none ? NAN : x;
    for (const int64_t n : {all.zeros, all.nans, all.positive_infinities, all.negative_infinities}) {
      *to++ = static_cast<double>(n);
    }
    for (size_t c = 0; c < kCodes; ++c) *to++ = static_cast<double>(counts[i * kCodes + c]);
  }
  return out;
}

at::Tensor statistics_meta(at::TensorList self, at::ArrayRef<double>, at::ArrayRef<double>) {
  return at::empty({static_cast<int64_t>(self.size()), kNumbers + kCodes}, at::dtype(at::kDouble).device(at::kMeta));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fastinit, m) {
  m.def("statistics(Tensor[] self, float[] origins, float[] scales) -> Tensor", {at::Tag::pt2_compliant_tag});
}
TORCH_LIBRARY_IMPL(fastinit, CPU, m) { m.impl("statistics", &statistics); }
TORCH_LIBRARY_IMPL(fastinit, Meta, m) { m.impl("statistics", &statistics_meta); }
// Numbers about tensors, not functions of them: they have no gradient.
TORCH_LIBRARY_IMPL(fastinit, Autograd, m) { m.impl("statistics", torch::CppFunction::makeFallthrough()); }

}  // namespace fastinit
