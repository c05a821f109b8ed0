#include "layout.h"

#include <ATen/Dispatch_v2.h>

#include <algorithm>

namespace fastinit {

void Placement::check(const at::Tensor& self) const {
  TORCH_CHECK(self.dim() < kMaxDims, "fastinit fills at most ", kMaxDims - 1, " dimensions");
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

namespace {

void set_item(PatternFill& f, const at::Tensor& self, const at::Scalar& value) {
  AT_DISPATCH_V2(self.scalar_type(), "fill_out", AT_WRAP([&] {
                   const auto item = value.to<scalar_t>();
                   std::memcpy(f.item, &item, sizeof item);
                 }),
                 AT_EXPAND(AT_ALL_TYPES_AND_COMPLEX), AT_EXPAND(AT_BAREBONES_UNSIGNED_TYPES),
                 AT_EXPAND(AT_FLOAT8_TYPES), at::kBool, at::kHalf, at::kBFloat16, at::kComplexHalf);
}

}  // namespace

PatternFill repeated(const at::Tensor& self, const at::Scalar& value) {
  TORCH_CHECK(self.dim() < kMaxDims, "fastinit fills at most ", kMaxDims - 1, " dimensions");
  PatternFill f;
  f.data = self.data_ptr();
  f.item_size = static_cast<int>(self.element_size());
  set_layout(f, static_cast<int>(self.dim()), self.sizes().data(), self.strides().data());
  set_item(f, self, value);
  return f;
}

std::vector<Places> diagonal(const at::Tensor& self, const Placement& placement) {
  const int64_t shift = placement.offset(0) - placement.offset(1);  // column of the diagonal in local row 0
  const int64_t begin = std::max<int64_t>(0, -shift), end = std::min(self.size(0), self.size(1) - shift);
  if (begin >= end) return {};
  const int64_t row = self.stride(0), column = self.stride(1);
  return {{begin * row + (begin + shift) * column, {1, end - begin}, {0, row + column}}};
}

std::vector<Places> centres(const at::Tensor& self, const Placement& placement, int64_t groups) {
  const at::IntArrayRef shape = placement.shape(self);
  if (self.numel() == 0) return {};
  int64_t centre = 0;
  for (int64_t d = 2; d < self.dim(); ++d) {
    const int64_t at = shape[static_cast<size_t>(d)] / 2 - placement.offset(d);
    if (at < 0 || at >= self.size(d)) return {};
    centre += at * self.stride(d);
  }
  const int64_t per_group = shape[0] / groups;
  const int64_t row = self.stride(0), diagonal = self.stride(0) + self.stride(1);
  const int64_t first_row = placement.offset(0), end_row = first_row + self.size(0);
  // Channels that exist on both sides, and here.
  const int64_t begin = placement.offset(1);
  const int64_t end = std::min({begin + self.size(1), per_group, shape[1]});
  std::vector<Places> places;
  const auto add = [&](int64_t group, int64_t count, int64_t from, int64_t to) {
    if (count <= 0 || from >= to) return;
    const int64_t offset = (group * per_group + from - first_row) * row + (from - begin) * self.stride(1) + centre;
    places.push_back({offset, {count, to - from}, {per_group * row, diagonal}});
  };
  // Whole groups at once; of the first and the last there may be a part.
  const int64_t first = first_row / per_group, last = (end_row - 1) / per_group;
  const int64_t from = std::max(begin, first_row - first * per_group), to = std::min(end, end_row - last * per_group);
  if (first == last) {
    add(first, 1, from, to);
  } else {
    add(first, 1, from, end);
    add(first + 1, last - first - 1, begin, end);
    add(last, 1, begin, to);
  }
  return places;
}

std::vector<size_t> overlapping(at::TensorList tensors) {
  struct Range {
    const char *begin, *end;
    size_t tensor;
  };
  std::vector<Range> ranges;
  ranges.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor& t = tensors[i];
    if (t.numel() == 0) continue;
    int64_t last = 0;
    for (int64_t d = 0; d < t.dim(); ++d) last += (t.size(d) - 1) * t.stride(d);
    const char* const data = static_cast<const char*>(t.const_data_ptr());
    ranges.push_back({data, data + (last + 1) * t.element_size(), i});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<size_t> touching;
  for (size_t k = 0; k < ranges.size();) {  // a run of ranges that hang together
    size_t next = k + 1;
    for (const char* end = ranges[k].end; next < ranges.size() && ranges[next].begin < end; ++next) {
      end = std::max(end, ranges[next].end);
    }
    for (size_t j = k; next > k + 1 && j < next; ++j) touching.push_back(ranges[j].tensor);
    k = next;
  }
  std::sort(touching.begin(), touching.end());
  return touching;
}

PlacementList::PlacementList(at::TensorList tensors, at::OptionalIntArrayRef shapes, at::OptionalIntArrayRef offsets)
    : shapes_(shapes), offsets_(offsets), starts_(1, 0) {
  TORCH_CHECK_VALUE(shapes.has_value() == offsets.has_value(), "slices need both the global shapes and the offsets");
  if (!shapes) return;
  for (const at::Tensor& t : tensors) starts_.push_back(starts_.back() + static_cast<size_t>(t.dim()));
  TORCH_CHECK_VALUE(shapes->size() == starts_.back() && offsets->size() == starts_.back(), "slices of ", starts_.back(),
                    " dimensions in all need as many numbers, but got ", shapes->size(), " and ", offsets->size());
}

Placement PlacementList::operator[](size_t i) const {
  if (!shapes_) return {};
  const size_t dims = starts_[i + 1] - starts_[i];
  return {shapes_->slice(starts_[i], dims), offsets_->slice(starts_[i], dims)};
}

}  // namespace fastinit
