// The operator that reads: what fastinit.audit knows of a tensor, in one pass over its memory.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <mutex>
#include <vector>

#include "cpu/dispatch.h"
#include "laws.h"
#include "parallel.h"
#include "stream/pattern.h"

namespace fastinit {
namespace {

// Numbers before the counts: elements, mean, sum of squared differences from it, least, greatest; zeros, NaNs, positive
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

at::Tensor statistics(const at::Tensor& self, double origin, double scale) {
  const Reading r = describe(self, origin, scale);
  std::vector<Moments> moments(static_cast<size_t>(r.chunks()));
  int64_t counts[kCodes] = {};
  std::mutex adding;
  constexpr int64_t grain = 2;  // chunks that are worth a thread
  parallel(r.chunks(), grain, [&](int64_t begin, int64_t end) {
    int64_t own[kCodes] = {};
    kernels().survey(r, begin, end, &moments[static_cast<size_t>(begin)], own);
    const std::lock_guard<std::mutex> lock(adding);
    for (int c = 0; c < kCodes; ++c) counts[c] += own[c];
  });
  Moments all;
  for (const Moments& m : moments) all.add(m);

  at::Tensor out = at::empty({kNumbers + kCodes}, at::kDouble);
  double* to = out.mutable_data_ptr<double>();
  const bool none = all.count == 0;
  for (const double x : {all.count, none ? NAN : all.mean, none ? NAN : all.squares, none ? NAN : all.least,
                         none ? NAN : all.greatest}) {
    *to++ = x;
  }
  for (const int64_t n : {all.zeros, all.nans, all.positive_infinities, all.negative_infinities}) {
    *to++ = static_cast<double>(n);
  }
  for (const int64_t n : counts) *to++ = static_cast<double>(n);
  return out;
}

at::Tensor statistics_meta(const at::Tensor&, double, double) { return at::empty({kNumbers + kCodes}, at::kDouble); }

}  // namespace

TORCH_LIBRARY_FRAGMENT(fastinit, m) {
  m.def("statistics(Tensor self, float origin, float scale) -> Tensor", {at::Tag::pt2_compliant_tag});
}
TORCH_LIBRARY_IMPL(fastinit, CPU, m) { m.impl("statistics", &statistics); }
TORCH_LIBRARY_IMPL(fastinit, Meta, m) { m.impl("statistics", &statistics_meta); }
// Numbers about a tensor, not functions of it: they have no gradient.
TORCH_LIBRARY_IMPL(fastinit, Autograd, m) { m.impl("statistics", torch::CppFunction::makeFallthrough()); }

}  // namespace fastinit
