// The operator behind the orthogonal initializers: checks, the Gaussian matrices, and who turns them into orthogonal ones.
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "householder.h"
#include "laws.h"
#include "layout.h"
#include "ops.h"
#include "parallel.h"

namespace fastinit {
namespace {

// The type to compute in: the result is rounded once, at the end.
at::ScalarType computing_type(const at::Tensor& self) {
  if (self.scalar_type() == at::kComplexHalf) return at::kComplexFloat;
  const at::ScalarType real = random_dtype(self, "orthogonal_") == DType::F64 ? at::kDouble : at::kFloat;
  return self.is_complex() ? c10::toComplexType(real) : real;
}

SmallMatrices described(const at::Tensor& matrices, double gain, bool special) {
  SmallMatrices s;
  s.complex = matrices.is_complex();
  s.data = matrices.data_ptr();
  s.count = matrices.size(0);
  s.rows = matrices.size(1);
  s.columns = matrices.size(2);
  s.stride = matrices.stride(0) * (s.complex ? 2 : 1);
  s.wide = c10::toRealValueType(matrices.scalar_type()) == at::kDouble;
  s.special = special;
  s.gain = gain;
  return s;
}

// [batch, rows, columns], row by row.
void orthogonalize(const Device& device, const at::Tensor& matrices, double gain, bool special) {
  if (device.orthogonalize(matrices, described(matrices, gain, special))) return;
  const at::Tensor tall = matrices.size(1) >= matrices.size(2) ? matrices : matrices.mT();
  const int64_t batch = tall.size(0);
  if (!tall.is_cpu() || batch < at::get_num_threads()) return orthogonalize_(tall, gain, special);
  at::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView guard;  // as on the thread that calls
    for (int64_t i = begin; i < end; ++i) orthogonalize_(tall.narrow(0, i, 1), gain, special);
  });
}

}  // namespace

void orthogonal(const Device& device, const at::Tensor& self, double gain, int64_t batch_dims, Ints split_sizes,
                bool special, Generator generator, Ints key, Ints global_shape, Ints global_offset) {
  const at::ScalarType type = computing_type(self);
  const Placement placement{global_shape, global_offset};
  placement.check(self);
  const at::IntArrayRef shape = placement.shape(self);
  TORCH_CHECK_VALUE(batch_dims >= 0 && batch_dims + 2 <= self.dim(),
                    "Only tensors with 2 or more dimensions are supported");
  const auto split = static_cast<size_t>(batch_dims);
  const int64_t batch = c10::multiply_integers(shape.slice(0, split));
  const int64_t rows = shape[split], columns = c10::multiply_integers(shape.slice(split + 1));
  const at::IntArrayRef blocks = split_sizes ? *split_sizes : at::IntArrayRef(rows);
  TORCH_CHECK_VALUE(c10::sum_integers(blocks) == rows, "split_sizes must sum to the ", rows, " rows, but are ", blocks);
  for (const int64_t size : blocks) {
    TORCH_CHECK_VALUE(size >= 0, "split_sizes must not be negative, but are ", blocks);
    TORCH_CHECK_VALUE(!special || size == columns, "only square matrices have a determinant, but got ", size, " x ",
                      columns);
  }
  at::assert_no_internal_overlap(self);
  // An empty slice draws all the same.
  if (self.numel() == 0) return normal(device, self, 0.0, 1.0, generator, key, global_shape, global_offset);

  const at::AutoDispatchBelowADInplaceOrView below;
  const c10::impl::ExcludeDispatchKeyGuard full_precision(c10::autocast_dispatch_keyset);
  const OneThreadAfterFork no_pool;
  const bool in_place = type == self.scalar_type() && shape == self.sizes() && self.is_contiguous();
  const at::Tensor work =
      in_place ? self.view({batch, rows, columns}) : at::empty({batch, rows, columns}, self.options().dtype(type));
  normal(device, work, 0.0, 1.0, generator, key, {}, {});
  int64_t start = 0;
  for (const int64_t size : blocks) {
    if (size > 0) orthogonalize(device, work.narrow(1, start, size), gain, special);
    start += size;
  }
  if (in_place) return;
  at::Tensor part = work.view(shape);
  for (int64_t d = 0; d < self.dim(); ++d) part = part.narrow(d, placement.offset(d), self.size(d));
  self.copy_(part);
}

}  // namespace fastinit
