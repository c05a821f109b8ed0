#include "batch.h"

#include <ATen/MemoryOverlap.h>

#include <algorithm>

namespace fastinit {

Batch::Batch(at::TensorList tensors, at::IntArrayRef laws, at::ArrayRef<double> parameters, const PlacementList& places)
    : tensors_(tensors), places_(places), sources_(tensors.size()), aside_(tensors.size()) {
  TORCH_CHECK_VALUE((laws.size() == 1 || laws.size() == size()) && parameters.size() == 4 * laws.size(),
                    "fill_many_ expects laws and four times as many parameters for 1 or ", size(),
                    " tensors, but got them for ", laws.size(), " and ", parameters.size());
  for (size_t k = 0; k < laws.size(); ++k) {
    TORCH_CHECK_VALUE(laws[k] >= 0 && laws[k] <= static_cast<int64_t>(LawKind::Constant), "no law ", laws[k]);
    const double* const p = &parameters[4 * k];
    laws_.push_back({static_cast<LawKind>(laws[k]), {p[0], p[1], p[2], p[3]}});
  }
  for (size_t i = 0; i < size(); ++i) {
    const at::Tensor& t = tensors[i];
    TORCH_CHECK_VALUE(t.device() == tensors[0].device(), "fill_many_ expects tensors on one device, but found ",
                      tensors[0].device(), " and ", t.device());
    const Placement place = places[i];
    place.check(t);
    at::assert_no_internal_overlap(t);
    if (constant(i)) {
      if (t.numel() != 0) (void)repeated(t, law(i).p[0]);
    } else {
      sources_[i].dtype = check_law(t, law(i));
      if (!place.empty(t)) drawing_.push_back(i);
    }
  }
}

void Batch::take(const std::vector<Key>& keys) {
  for (size_t k = 0; k < drawing_.size(); ++k) {
    const size_t i = drawing_[k];
    Source& s = sources_[i];
    s.key = keys[k];
    if (k > 0) {
      const size_t before = drawing_[k - 1];
      const Law &a = law(before), &b = law(i);
      if (a.kind == b.kind && std::equal(a.p, a.p + 4, b.p) && s.dtype == sources_[before].dtype &&
          tensors_[i].is_complex() == tensors_[before].is_complex()) {
        s.plan = sources_[before].plan;
        continue;
      }
    }
    s.plan = plans_.size();
    plans_.push_back(plan_law(tensors_[i], law(i), s.dtype));
  }
}

void Batch::set_aside(const std::vector<size_t>& tensors) {
  for (const size_t i : tensors) aside_[i] = true;
}

void Batch::describe_random(size_t i, Fill& f) const {
  const Source& s = sources_[i];
  fastinit::describe(f, tensors_[i], s.dtype, places_[i]);
  f.distribution = plans_[s.plan];
  f.key = s.key;
}

}  // namespace fastinit
