// The operators: schemas, checks, the key of a call, and the loop over threads. The kernels below know no torch.
#include "ops.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Dispatch_v2.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/fill.h>
#include <torch/library.h>

#include <cmath>
#include <mutex>

#include "cpu/dispatch.h"
#include "cpu/pages.h"
#include "cpu/sparse.h"
#include "layout.h"
#include "parallel.h"
#include "stream/plan.h"

namespace fastinit {
namespace {

// ---- keys
// ------------------------------------------------------------------------------------------------------------

// The key of one call. A key given by the caller is used as it is; otherwise one 64-bit number is drawn from the
// generator and mixed with its 64-bit seed, of which torch's own CPU generator uses only the lower half.
Key draw_key(const Generator& generator, const Ints& key) {
  if (key) return {static_cast<uint64_t>((*key)[0]), static_cast<uint64_t>((*key)[1])};
  auto* g = at::get_generator_or_default<at::CPUGeneratorImpl>(generator, at::detail::getDefaultCPUGenerator());
  std::lock_guard<std::mutex> lock(g->mutex_);
  return {fold_in(g->current_seed(), g->random64(), Domain::CpuGenerator), 0};
}

// Everything that can be wrong with where the values come from, before anything is drawn or written.
void check_source(const Generator& generator, const Ints& key) {
  TORCH_CHECK_VALUE(!(generator && key), "pass a generator or a key, not both");
  TORCH_CHECK_VALUE(!key || key->size() == 2, "a key is [seed, offset], got ", key ? key->size() : 0, " numbers");
  if (generator && generator->defined()) {
    TORCH_CHECK(generator->device().is_cpu(), "Expected a 'cpu' device type for generator but found '",
                generator->device().type(), "'");
  }
}

// ---- random fills
// ----------------------------------------------------------------------------------------------------

DType random_dtype(const at::Tensor& self, const char* name) {
  switch (c10::toRealValueType(self.scalar_type())) {
    case at::kFloat:
      return DType::F32;
    case at::kDouble:
      return DType::F64;
    case at::kBFloat16:
      return DType::BF16;
    case at::kHalf:
      if (self.is_complex()) break;  // ComplexHalf: torch has no random fill for it either
      return DType::F16;
    case at::kFloat8_e4m3fn:
      return DType::E4M3FN;
    case at::kFloat8_e5m2:
      return DType::E5M2;
    case at::kFloat8_e4m3fnuz:
      return DType::E4M3FNUZ;
    case at::kFloat8_e5m2fnuz:
      return DType::E5M2FNUZ;
    default:
      break;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(false, '"', name, "\" not implemented for '", toString(self.scalar_type()), "'");
}

constexpr int64_t kUnit = 4096;     // elements; chunks start on whole vectors and whole lines
constexpr int64_t kGrainUnits = 8;  // below 32768 elements a second thread costs more than it brings
constexpr int64_t kGrainTiles = 8;

void run(const Fill& f) {
  const Kernels& k = kernels();
  if (f.flat()) {
    if (f.count <= kUnit * kGrainUnits) return k.fill_range(f, 0, f.count);
    advise_huge_pages(f.data, f.count * item_size(f.dtype));
    return parallel((f.count + kUnit - 1) / kUnit, kGrainUnits, [&](int64_t begin, int64_t end) {
      k.fill_range(f, begin * kUnit, std::min(end * kUnit, f.count));
    });
  }
  if (f.dense()) advise_huge_pages(f.data, f.count * item_size(f.dtype));
  const Panels panels(f);
  parallel(panels.tiles, kGrainTiles, [&](int64_t begin, int64_t end) { k.fill_tiles(f, panels, begin, end); });
}

// Checks, draws the key and fills; `plan` turns the dtype into the constants of the distribution.
template <class Plan>
void fill_random(const at::Tensor& self, DType dtype, const Generator& generator, const Ints& key,
                 const Placement& placement, const Plan& plan) {
  check_source(generator, key);
  placement.check(self);
  at::assert_no_internal_overlap(self);
  // An empty slice of a tensor draws as the whole does, so that ranks stay in step; an empty tensor draws nothing.
  if (placement.empty(self)) return;
  const Key drawn = draw_key(generator, key);
  if (self.numel() == 0) return;
  Fill f;
  describe(f, self, dtype, placement);
  f.distribution = plan(dtype);
  f.key = drawn;
  run(f);
}

void check_std(double std) { TORCH_CHECK(std >= 0.0, "normal expects std >= 0.0, but found std ", std); }

void uniform_cpu(const at::Tensor& self, double a, double b, Generator generator, Ints key, Ints global_shape,
                 Ints global_offset) {
  const DType dtype = random_dtype(self, "check_uniform_bounds");
  const double max = format_of(dtype).max;
  TORCH_CHECK(a >= -max && a <= max, "from is out of bounds for ", self.dtype());
  TORCH_CHECK(b >= -max && b <= max, "to is out of bounds for ", self.dtype());
  TORCH_CHECK(a <= b, "uniform_ expects to return a [from, to) range, but found from=", a, " > to=", b);
  TORCH_CHECK(b - a <= max, "uniform_ expects to-from <= std::numeric_limits<", toString(self.scalar_type()),
              ">::max(), but found to=", b, " and from=", a, " which result in to-from to exceed the limit");
  fill_random(self, dtype, generator, key, {global_shape, global_offset},
              [&](DType t) { return plan_uniform(a, b, t); });
}

void normal_cpu(const at::Tensor& self, double mean, double std, Generator generator, Ints key, Ints global_shape,
                Ints global_offset) {
  check_std(std);
  const DType dtype = random_dtype(self, "normal_kernel_cpu");
  // As torch does: the real and the imaginary part share the variance, and both have the mean.
  const double part = self.is_complex() ? std / std::sqrt(2.0) : std;
  fill_random(self, dtype, generator, key, {global_shape, global_offset},
              [&](DType t) { return plan_normal(mean, part, t); });
}

void trunc_normal_cpu(const at::Tensor& self, double mean, double std, double a, double b, Generator generator,
                      Ints key, Ints global_shape, Ints global_offset) {
  check_std(std);
  TORCH_CHECK(a <= b, "trunc_normal_ expects a <= b, but found a=", a, " and b=", b);
  TORCH_CHECK(std::isfinite(mean) && std::isfinite(std),
              "trunc_normal_ expects a finite mean and std, but found mean=", mean, " and std=", std);
  TORCH_CHECK_NOT_IMPLEMENTED(!self.is_complex(), "\"trunc_normal_\" not implemented for '",
                              toString(self.scalar_type()), "'");
  fill_random(self, random_dtype(self, "normal_kernel_cpu"), generator, key, {global_shape, global_offset},
              [&](DType t) { return plan_truncated_normal(mean, std, a, b, t); });
}

// ---- repeated elements and patterns of ones
// --------------------------------------------------------------------------

void set_item(PatternFill& f, const at::Tensor& self, const at::Scalar& value) {
  AT_DISPATCH_V2(self.scalar_type(), "fill_out", AT_WRAP([&] {
                   const auto item = value.to<scalar_t>();
                   std::memcpy(f.item, &item, sizeof item);
                 }),
                 AT_EXPAND(AT_ALL_TYPES_AND_COMPLEX), AT_EXPAND(AT_BAREBONES_UNSIGNED_TYPES),
                 AT_EXPAND(AT_FLOAT8_TYPES), at::kBool, at::kHalf, at::kBFloat16, at::kComplexHalf);
}

void run(const PatternFill& f) {
  const int64_t unit = kUnit * 4;
  if (f.count <= unit) return fill_pattern(f, 0, f.count);
  if (f.flat()) advise_huge_pages(f.data, f.count * f.item_size);
  parallel((f.count + unit - 1) / unit, kGrainUnits,
           [&](int64_t begin, int64_t end) { fill_pattern(f, begin * unit, std::min(end * unit, f.count)); });
}

void constant_cpu(const at::Tensor& self, const at::Scalar& value) {
  at::assert_no_internal_overlap(self);
  if (self.numel() == 0) return;
  PatternFill f = describe_pattern(self);
  set_item(f, self, value);
  run(f);
}

// Zeroes `self`, then writes one to the elements that `each(set)` names by their local coordinates.
template <class Each>
void ones_in_zeros(const at::Tensor& self, const Each& each) {
  at::assert_no_internal_overlap(self);
  if (self.numel() == 0) return;
  PatternFill one = describe_pattern(self);
  set_item(one, self, 1);
  PatternFill zero = one;
  set_item(zero, self, 0);
  run(zero);
  each([&](at::IntArrayRef at) {
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); ++d) offset += at[d] * self.stride(static_cast<int64_t>(d));
    std::memcpy(static_cast<char*>(one.data) + offset * one.item_size, one.item, static_cast<size_t>(one.item_size));
  });
}

void eye_cpu(const at::Tensor& self, Ints global_shape, Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() == 2, "Only tensors with 2 dimensions are supported");
  const Placement at{global_shape, global_offset};
  at.check(self);
  ones_in_zeros(self, [&](const auto& set) {
    const int64_t shift = at.offset(0) - at.offset(1);  // column of the diagonal in local row 0
    for (int64_t i = std::max<int64_t>(0, -shift); i < self.size(0) && i + shift < self.size(1); ++i) {
      set({i, i + shift});
    }
  });
}

void dirac_cpu(const at::Tensor& self, int64_t groups, Ints global_shape, Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() >= 3 && self.dim() <= 5, "Only tensors with 3, 4, or 5 dimensions are supported");
  const Placement at{global_shape, global_offset};
  at.check(self);
  const at::IntArrayRef shape = at.shape(self);
  TORCH_CHECK_VALUE(groups > 0 && shape[0] % groups == 0, "dim 0 must be divisible by groups");
  const int64_t per_group = shape[0] / groups;
  ones_in_zeros(self, [&](const auto& set) {
    int64_t local[5];
    for (int64_t d = 2; d < self.dim(); ++d) {  // the centre of the kernel
      local[d] = shape[static_cast<size_t>(d)] / 2 - at.offset(d);
      if (local[d] < 0 || local[d] >= self.size(d)) return;
    }
    for (local[0] = 0; local[0] < self.size(0); ++local[0]) {
      const int64_t channel = (local[0] + at.offset(0)) % per_group;  // output channel c of a group passes input c on
      local[1] = channel - at.offset(1);
      if (channel < shape[1] && local[1] >= 0 && local[1] < self.size(1)) {
        set(at::IntArrayRef(local, static_cast<size_t>(self.dim())));
      }
    }
  });
}

void sparse_cpu(const at::Tensor& self, double sparsity, double std, Generator generator, Ints key, Ints global_shape,
                Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() == 2, "Only tensors with 2 dimensions are supported");
  TORCH_CHECK_VALUE(sparsity >= 0.0, "sparsity must not be negative, but found ", sparsity);
  check_std(std);
  check_source(generator, key);
  random_dtype(self, "normal_kernel_cpu");
  const Placement at{global_shape, global_offset};
  at.check(self);
  at::assert_no_internal_overlap(self);
  if (at.empty(self)) return;
  const Key drawn = draw_key(generator, key);
  if (self.numel() == 0) return;
  const int64_t words[2] = {static_cast<int64_t>(drawn.seed), static_cast<int64_t>(drawn.offset)};
  normal_cpu(self, 0.0, std, std::nullopt, at::IntArrayRef(words), global_shape, global_offset);

  const int64_t rows = at.shape(self)[0];
  const double share = std::min(sparsity, 1.0);
  const SparseColumns columns{drawn, rows, static_cast<int64_t>(std::ceil(share * static_cast<double>(rows)))};
  const int64_t item = self.element_size();
  char* const data = static_cast<char*>(self.data_ptr());
  parallel(self.size(1), std::max<int64_t>(1, kUnit / rows), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      columns.clear(c + at.offset(1), at.offset(0), self.size(0), data + c * self.stride(1) * item,
                    self.stride(0) * item, static_cast<int>(item));
    }
  });
}

// ---- dispatch keys that need no mathematics
// --------------------------------------------------------------------------

// Meta tensors have no values: nothing is written, nothing is drawn.
void do_nothing(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size());
}

// Counts the write, as every in-place operation of torch does; a refused call is not counted.
template <class Op>
struct Counted;
template <class... Args>
struct Counted<void(const at::Tensor&, Args...)> {
  template <const char* Name>
  static void call(c10::DispatchKeySet keys, const at::Tensor& self, Args... args) {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(Name, "").template typed<void(const at::Tensor&, Args...)>();
    // An inference tensor outside inference mode: this throws, before anything is written.
    if (self.is_inference() && !c10::InferenceMode::is_enabled()) self.unsafeGetTensorImpl()->bump_version();
    {
      at::AutoDispatchBelowADInplaceOrView guard;
      op.redispatch(keys & c10::after_ADInplaceOrView_keyset, self, args...);
    }
    if (!self.is_inference()) self.unsafeGetTensorImpl()->bump_version();
  }
};

#define FASTINIT_OPS(op)                                                                               \
  op(uniform_, UniformOp) op(normal_, NormalOp) op(trunc_normal_, TruncNormalOp) op(sparse_, SparseOp) \
      op(constant_, ConstantOp) op(eye_, EyeOp) op(dirac_, DiracOp)

#define FASTINIT_NAME_OF(name, type) constexpr char k_##name[] = "fastinit::" #name;
FASTINIT_OPS(FASTINIT_NAME_OF)

}  // namespace

#define FASTINIT_SOURCE "Generator? generator=None, int[]? key=None, "
#define FASTINIT_PLACE "int[]? global_shape=None, int[]? global_offset=None) -> ()"

TORCH_LIBRARY(fastinit, m) {
  const std::vector<at::Tag> random = {at::Tag::pt2_compliant_tag, at::Tag::nondeterministic_seeded};
  const std::vector<at::Tag> plain = {at::Tag::pt2_compliant_tag};
  m.def("uniform_(Tensor(a!) self, float a, float b, " FASTINIT_SOURCE FASTINIT_PLACE, random);
  m.def("normal_(Tensor(a!) self, float mean, float std, " FASTINIT_SOURCE FASTINIT_PLACE, random);
  m.def("trunc_normal_(Tensor(a!) self, float mean, float std, float a, float b, " FASTINIT_SOURCE FASTINIT_PLACE,
        random);
  m.def("sparse_(Tensor(a!) self, float sparsity, float std, " FASTINIT_SOURCE FASTINIT_PLACE, random);
  m.def("constant_(Tensor(a!) self, Scalar value) -> ()", plain);
  m.def("eye_(Tensor(a!) self, " FASTINIT_PLACE, plain);
  m.def("dirac_(Tensor(a!) self, int groups, " FASTINIT_PLACE, plain);
}

TORCH_LIBRARY_IMPL(fastinit, CPU, m) {
  m.impl("uniform_", uniform_cpu);
  m.impl("normal_", normal_cpu);
  m.impl("trunc_normal_", trunc_normal_cpu);
  m.impl("sparse_", sparse_cpu);
  m.impl("constant_", constant_cpu);
  m.impl("eye_", eye_cpu);
  m.impl("dirac_", dirac_cpu);
}

// Where there is no kernel of ours, a constant is still a constant: other devices and layouts get torch's own fill.
TORCH_LIBRARY_IMPL(fastinit, CompositeExplicitAutograd, m) {
  m.impl("constant_",
         [](const at::Tensor& self, const at::Scalar& value) { at::fill_(const_cast<at::Tensor&>(self), value); });
}

TORCH_LIBRARY_IMPL(fastinit, Meta, m) {
#define FASTINIT_META(name, type) m.impl(#name, torch::CppFunction::makeFromBoxedFunction<&do_nothing>());
  FASTINIT_OPS(FASTINIT_META)
}

// Initialization leaves no history: nothing to do for autograd, whether or not the tensor requires a gradient.
TORCH_LIBRARY_IMPL(fastinit, Autograd, m) {
#define FASTINIT_AUTOGRAD(name, type) m.impl(#name, torch::CppFunction::makeFallthrough());
  FASTINIT_OPS(FASTINIT_AUTOGRAD)
}

TORCH_LIBRARY_IMPL(fastinit, ADInplaceOrView, m) {
#define FASTINIT_COUNT(name, type) m.impl(#name, &Counted<type>::call<k_##name>);
  FASTINIT_OPS(FASTINIT_COUNT)
}

}  // namespace fastinit
