#include "layout.h"

namespace fastinit {

void Placement::check(const at::Tensor& self) const {
  TORCH_CHECK_VALUE(global_shape.has_value() == global_offset.has_value(),
                    "a slice needs both the global shape and the offset in it");
  if (!global_shape) return;
  const auto dims = static_cast<size_t>(self.dim());
  TORCH_CHECK_VALUE(global_shape->size() == dims && global_offset->size() == dims, "a slice of ", self.dim(),
                    " dimensions cannot lie in a global shape of ", global_shape->size(), " at an offset of ",
                    global_offset->size());
  for (size_t d = 0; d < dims; ++d) {
    const int64_t begin = (*global_offset)[d];
    TORCH_CHECK_VALUE(begin >= 0 && begin <= (*global_shape)[d] - self.size(static_cast<int64_t>(d)), "dimension ", d,
                      " of the slice, [", begin, ", ", begin + self.size(static_cast<int64_t>(d)),
                      "), is not within the global size ", (*global_shape)[d]);
  }
}

void describe(Fill& f, const at::Tensor& self, DType dtype, const Placement& placement) {
  TORCH_CHECK(self.dim() < kMaxDims, "fastinit fills at most ", kMaxDims - 1, " dimensions");
  const int64_t parts = self.is_complex() ? 2 : 1;
  f.data = self.data_ptr();
  f.dtype = dtype;
  f.count = self.numel() * parts;
  f.origin = 0;

  // Index strides are those of a contiguous tensor of the global shape.
  const at::IntArrayRef shape = placement.shape(self);
  int64_t index_stride[kMaxDims];
  int64_t stride = parts;
  for (int64_t d = self.dim() - 1; d >= 0; --d) {
    index_stride[d] = stride;
    f.origin += placement.offset(d) * stride;
    stride *= shape[static_cast<size_t>(d)];
  }

  f.dims = 0;
  const auto append = [&](int64_t size, int64_t memory, int64_t index) {
    if (size == 1) return;
    if (f.dims > 0) {
      const int last = f.dims - 1;
      if (f.memory_stride[last] == memory * size && f.index_stride[last] == index * size) {
        f.size[last] *= size;
        f.memory_stride[last] = memory;
        f.index_stride[last] = index;
        return;
      }
    }
    f.size[f.dims] = size;
    f.memory_stride[f.dims] = memory;
    f.index_stride[f.dims++] = index;
  };
  for (int64_t d = 0; d < self.dim(); ++d) append(self.size(d), self.stride(d) * parts, index_stride[d]);
  append(parts, 1, 1);
}

PatternFill describe_pattern(const at::Tensor& self) {
  TORCH_CHECK(self.dim() < kMaxDims, "fastinit fills at most ", kMaxDims - 1, " dimensions");
  PatternFill f;
  f.data = self.data_ptr();
  f.item_size = static_cast<int>(self.element_size());
  set_layout(f, static_cast<int>(self.dim()), self.sizes().data(), self.strides().data());
  return f;
}

}  // namespace fastinit
