// From descriptions of fills to the families of kernels that do them.
#include "fill.h"

#include <map>
#include <utility>

#include "family.h"

namespace fastinit::cuda {
namespace {

// Calls f with the member of the union that holds a distribution's parameters for this type.
template <class F>
void with_member(Kind kind, DType dtype, F&& f) {
  using S = Distribution::Single;
  using W = Distribution::Wide;
  const auto choose = [&](auto single, auto wide) { dtype == DType::F64 ? f(wide) : f(single); };
  switch (kind) {
    case Kind::Uniform:
      return choose(&S::uniform, &W::uniform);
    case Kind::Normal:
      return choose(&S::normal, &W::normal);
    case Kind::Narrow:
      return choose(&S::narrow, &W::narrow);
    case Kind::Tail:
      return choose(&S::tail, &W::tail);
    case Kind::Full:
      return choose(&S::full, &W::full);
    case Kind::Central:  // float32 only (stream/plan.h)
      return f(&S::central);
  }
}

void fill_alike(const FlatFills& fills, const Captured& captured, cudaStream_t stream) {
  with_member(fills[0]->distribution.kind, fills[0]->dtype,
              [&](auto member) { fill_flat(fills, member, captured, stream); });
}

}  // namespace

void fill(const Fill& f, const Captured& captured, cudaStream_t stream) {
  if (f.flat()) {
    const FlatFill flat(f);
    return fill_alike({&flat}, captured, stream);
  }
  with_member(f.distribution.kind, f.dtype, [&](auto member) { fill_tiled(f, member, captured, stream); });
}

void fill(const PatternFill& f, cudaStream_t stream) {
  if (f.flat()) return repeat_flat({FlatPattern(f)}, stream);
  repeat_tiled(f, stream);
}

void fill_many(const std::vector<FlatFill>& fills, const std::vector<FlatPattern>& patterns, const Captured& captured,
               cudaStream_t stream) {
  std::map<std::pair<Kind, DType>, FlatFills> alike;
  for (const FlatFill& f : fills) alike[{f.distribution.kind, f.dtype}].push_back(&f);
  for (const auto& [kind, same] : alike) fill_alike(same, captured, stream);
  if (!patterns.empty()) repeat_flat(patterns, stream);
}

}  // namespace fastinit::cuda
