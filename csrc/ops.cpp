// The operators: schemas, checks, the key of a call, the description of what is to be filled. What is the same for every
// device is here; device.h is where they part.
#include "ops.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/fill.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "batch.h"
#include "laws.h"
#include "layout.h"
#include "under_bit.h"

namespace fastinit {
namespace {

// Everything that can be wrong with where the values come from, before anything is drawn or written.
void check_source(const Device& device, const Generator& generator, const Ints& key, size_t count = 1) {
  TORCH_CHECK_VALUE(!(generator && key), "pass a generator or a key, not both");
  TORCH_CHECK_VALUE(!key || key->size() == 2 * count, "a key is [seed, offset], got ", key ? key->size() : 0,
                    " numbers for ", count, count == 1 ? " tensor" : " tensors");
  if (generator && generator->defined()) device.check(*generator);
}

// A key that the caller gave: used as it is.
Key given_key(const Ints& keys, size_t at = 0) {
  return {static_cast<uint64_t>((*keys)[2 * at]), static_cast<uint64_t>((*keys)[2 * at + 1])};
}

// The key of one call, given or drawn.
Captured draw_key(const Device& device, const at::Tensor& self, const Generator& generator, const Ints& given,
                  Key& key) {
  if (!given) return device.draw(self, generator, 1, &key);
  key = given_key(given);
  return {};
}

// ---- random fills ---------------------------------------------------------------------------------------------------

struct Filled {
  Key key;
  Captured captured;
};

// Returns the key that was used, if anything was filled.
std::optional<Filled> fill_random(const Device& device, const at::Tensor& self, const Law& law,
                                  const Generator& generator, const Ints& given, const Placement& place) {
  const DType dtype = check_law(self, law);
  check_source(device, generator, given);
  place.check(self);
  at::assert_no_internal_overlap(self);
  // An empty slice of a tensor draws as the whole does, so that ranks stay in step; an empty tensor draws nothing.
  if (place.empty(self)) return std::nullopt;
  Fill f;
  const Captured captured = draw_key(device, self, generator, given, f.key);
  if (self.numel() == 0) return std::nullopt;
  describe(f, self, dtype, place);
  f.distribution = plan_law(self, law, dtype);
  device.fill(self, f, captured);
  return Filled{f.key, captured};
}

// ---- patterns of ones ------------------------------------------------------------------------------------------------

// Zeros, and ones at the places named.
void ones_in_zeros(const Device& device, const at::Tensor& self, const std::vector<Places>& ones) {
  at::assert_no_internal_overlap(self);
  if (self.numel() == 0) return;
  PatternFill one = repeated(self, 1);
  device.fill(self, repeated(self, 0));
  for (const Places& p : ones) {
    one.data = static_cast<char*>(self.data_ptr()) + p.offset * one.item_size;
    set_layout(one, 2, p.size, p.stride);
    device.fill(self, one);
  }
}

}  // namespace

// ---- the operators on a device --------------------------------------------------------------------------------------

void uniform(const Device& device, const at::Tensor& self, double a, double b, Generator generator, Ints key,
             Ints global_shape, Ints global_offset) {
  fill_random(device, self, {LawKind::Uniform, {a, b}}, generator, key, {global_shape, global_offset});
}

void normal(const Device& device, const at::Tensor& self, double mean, double std, Generator generator, Ints key,
            Ints global_shape, Ints global_offset) {
  fill_random(device, self, {LawKind::Normal, {mean, std}}, generator, key, {global_shape, global_offset});
}

void trunc_normal(const Device& device, const at::Tensor& self, double mean, double std, double a, double b,
                  Generator generator, Ints key, Ints global_shape, Ints global_offset) {
  fill_random(device, self, {LawKind::TruncNormal, {mean, std, a, b}}, generator, key, {global_shape, global_offset});
}

void sparse(const Device& device, const at::Tensor& self, double sparsity, double std, Generator generator, Ints key,
            Ints global_shape, Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() == 2, "Only tensors with 2 dimensions are supported");
  TORCH_CHECK_VALUE(sparsity >= 0.0, "sparsity must not be negative, but found ", sparsity);
  const Placement place{global_shape, global_offset};
  const auto filled = fill_random(device, self, {LawKind::Normal, {0.0, std}}, generator, key, place);
  if (!filled) return;

  const int64_t item = self.element_size();
  SparseFill s{};
  s.key = filled->key;
  s.global_rows = place.shape(self)[0];
  s.zeros = static_cast<int64_t>(std::ceil(std::min(sparsity, 1.0) * static_cast<double>(s.global_rows)));
  s.first_row = place.offset(0);
  s.rows = self.size(0);
  s.first_column = place.offset(1);
  s.columns = self.size(1);
  s.data = static_cast<char*>(self.data_ptr());
  s.row_stride = self.stride(0) * item;
  s.column_stride = self.stride(1) * item;
  s.item_size = static_cast<int>(item);
  if (s.zeros > 0) device.clear(self, s, filled->captured);
}

void constant(const Device& device, const at::Tensor& self, const at::Scalar& value) {
  at::assert_no_internal_overlap(self);
  if (self.numel() != 0) device.fill(self, repeated(self, value));
}

void eye(const Device& device, const at::Tensor& self, Ints global_shape, Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() == 2, "Only tensors with 2 dimensions are supported");
  const Placement place{global_shape, global_offset};
  place.check(self);
  ones_in_zeros(device, self, diagonal(self, place));
}

void dirac(const Device& device, const at::Tensor& self, int64_t groups, Ints global_shape, Ints global_offset) {
  TORCH_CHECK_VALUE(self.dim() >= 3 && self.dim() <= 5, "Only tensors with 3, 4, or 5 dimensions are supported");
  const Placement place{global_shape, global_offset};
  place.check(self);
  TORCH_CHECK_VALUE(groups > 0 && place.shape(self)[0] % groups == 0, "dim 0 must be divisible by groups");
  ones_in_zeros(device, self, centres(self, place, groups));
}

void fill_many(const Device& device, at::TensorList self, at::IntArrayRef laws, at::ArrayRef<double> parameters,
               Generator generator, Ints keys, std::optional<int64_t> first, Ints global_shape, Ints global_offset) {
  if (self.empty()) return;
  check_source(device, generator, keys, first ? 1 : self.size());
  const PlacementList places(self, global_shape, global_offset);
  Batch batch(self, laws, parameters, places);

  const std::vector<size_t>& drawing = batch.drawing();
  std::vector<Key> drawn(drawing.size());
  Captured captured;
  if (keys) {
    for (size_t k = 0; k < drawing.size(); ++k) {
      drawn[k] = given_key(keys, first ? 0 : drawing[k]);
      if (first) drawn[k].seed = fold_in(drawn[k].seed, static_cast<uint64_t>(*first) + drawing[k], Domain::FoldInt);
    }
  } else if (!drawing.empty()) {
    captured = device.draw(self[0], generator, drawing.size(), drawn.data());
  }
  batch.take(drawn);

  // Where one lies over another the last one counts, as in separate calls: those are filled in order.
  const std::vector<size_t> touching = overlapping(self);
  batch.set_aside(touching);
  device.fill_many(batch, captured);
  for (const size_t i : touching) {
    batch.describe(i, [&](const auto& f) {
      if constexpr (std::is_same_v<decltype(f), const Fill&>) {
        device.fill(self[i], f, captured);
      } else {
        device.fill(self[i], f);
      }
    });
  }
}

// ---- dispatch keys that need no mathematics -------------------------------------------------------------------------

namespace {

// The lists that a device without kernels of ours can fill.
void constants_elsewhere(at::TensorList self, at::IntArrayRef laws, at::ArrayRef<double> parameters, Generator, Ints,
                         std::optional<int64_t>, Ints, Ints) {
  const bool constant =
      std::all_of(laws.begin(), laws.end(), [](int64_t law) { return law == static_cast<int64_t>(LawKind::Constant); });
  TORCH_CHECK_NOT_IMPLEMENTED(constant, "random fills of ", self[0].device().type(), " tensors are not implemented");
  for (size_t i = 0; i < self.size(); ++i) {
    at::fill_(const_cast<at::Tensor&>(self[i]), parameters[laws.size() == 1 ? 0 : 4 * i]);
  }
}

// Meta tensors have no values: nothing is written, nothing is drawn.
void do_nothing(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size());
}

at::TensorList each(const at::Tensor& self) { return self; }
at::TensorList each(at::TensorList self) { return self; }

// Counts the write, as every in-place operation of torch does; a refused call is not counted.
template <class Op>
struct Counted;
template <class Self, class... Args>
struct Counted<void(Self, Args...)> {
  template <const char* Name>
  static void call(c10::DispatchKeySet keys, Self self, Args... args) {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(Name, "").template typed<void(Self, Args...)>();
    for (const at::Tensor& t : each(self)) {
      // An inference tensor outside inference mode: this throws, before anything is written.
      if (t.is_inference() && !c10::InferenceMode::is_enabled()) t.unsafeGetTensorImpl()->bump_version();
    }
    {
      at::AutoDispatchBelowADInplaceOrView guard;
      op.redispatch(keys & c10::after_ADInplaceOrView_keyset, self, args...);
    }
    for (const at::Tensor& t : each(self)) {
      if (!t.is_inference()) t.unsafeGetTensorImpl()->bump_version();
    }
  }
};

#define FASTINIT_OPS(op)                                                                               \
  op(uniform_, UniformOp) op(normal_, NormalOp) op(trunc_normal_, TruncNormalOp) op(sparse_, SparseOp) \
      op(orthogonal_, OrthogonalOp) op(constant_, ConstantOp) op(eye_, EyeOp) op(dirac_, DiracOp)      \
          op(fill_many_, FillManyOp)

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
  m.def("orthogonal_(Tensor(a!) self, float gain, int batch_dims, int[]? split_sizes, bool special, " FASTINIT_SOURCE
            FASTINIT_PLACE,
        random);
  m.def("constant_(Tensor(a!) self, Scalar value) -> ()", plain);
  m.def("eye_(Tensor(a!) self, " FASTINIT_PLACE, plain);
  m.def("dirac_(Tensor(a!) self, int groups, " FASTINIT_PLACE, plain);
  m.def(
      "fill_many_(Tensor(a!)[] self, int[] laws, float[] parameters, Generator? generator=None, int[]? keys=None, "
      "int? first=None, " FASTINIT_PLACE,
      random);
}

// Where there is no kernel of ours, a constant is still a constant: other devices and layouts get torch's own fill.
TORCH_LIBRARY_IMPL(fastinit, CompositeExplicitAutograd, m) {
  m.impl("constant_",
         [](const at::Tensor& self, const at::Scalar& value) { at::fill_(const_cast<at::Tensor&>(self), value); });
  m.impl("fill_many_", constants_elsewhere);
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

TORCH_LIBRARY_IMPL(fastinit, Conjugate, m) {
#define FASTINIT_CONJUGATE(name, type) m.impl(#name, &UnderBit<ConjugateBit, type>::call<k_##name>);
  FASTINIT_OPS(FASTINIT_CONJUGATE)
}

TORCH_LIBRARY_IMPL(fastinit, Negative, m) {
#define FASTINIT_NEGATE(name, type) m.impl(#name, &UnderBit<NegativeBit, type>::call<k_##name>);
  FASTINIT_OPS(FASTINIT_NEGATE)
}

}  // namespace fastinit
