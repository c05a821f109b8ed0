// The reference: what each kernel promises, one element at a time, from the shared headers alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "../../csrc/stream/fill.h"
#include "../../csrc/stream/pattern.h"
#include "../../csrc/stream/sparse.h"
#include "../../csrc/stream/transforms.h"

namespace fastinit::test {

// Word `i` of a stream.
inline uint32_t scalar_word(Key key, Domain domain, uint64_t i) { return stream_block(key, i / 4, domain).w[i % 4]; }

template <class L, class Parameters>
typename L::T value_of(const Parameters& d, Key key, int64_t index) {
  const uint64_t even = static_cast<uint64_t>(index - index % 2);
  const auto word = [&](uint64_t i) { return typename L::U{scalar_word(key, Domain::Main, i)}; };
  typename L::F x, y;
  if constexpr (sizeof(typename L::T) == 8) {
    const auto both = [&](uint64_t i) { return word(2 * i) | word(2 * i + 1) << 32; };
    transform<L>(d, both(even), both(even + 1), x, y);
  } else {
    transform<L>(d, word(even), word(even + 1), x, y);
  }
  return index % 2 == 0 ? x : y;
}

inline double wide_value(const Distribution& d, Key key, int64_t index) {
  switch (d.kind) {
    case Kind::Uniform:
      return value_of<ScalarF64>(d.wide.uniform, key, index);
    case Kind::Normal:
      return value_of<ScalarF64>(d.wide.normal, key, index);
    case Kind::Narrow:
      return value_of<ScalarF64>(d.wide.narrow, key, index);
    case Kind::Tail:
      return value_of<ScalarF64>(d.wide.tail, key, index);
    default:
      return value_of<ScalarF64>(d.wide.full, key, index);
  }
}

inline float single_value(const Distribution& d, Key key, int64_t index) {
  switch (d.kind) {
    case Kind::Uniform:
      return value_of<ScalarF32>(d.single.uniform, key, index);
    case Kind::Normal:
      return value_of<ScalarF32>(d.single.normal, key, index);
    case Kind::Narrow:
      return value_of<ScalarF32>(d.single.narrow, key, index);
    case Kind::Tail:
      return value_of<ScalarF32>(d.single.tail, key, index);
    case Kind::Central:
      return value_of<ScalarF32>(d.single.central, key, index);
    default:
      return value_of<ScalarF32>(d.single.full, key, index);
  }
}

inline uint32_t encode(DType dtype, float value) {
  switch (dtype) {
    case DType::F16:
      return NarrowF16::encode(value);
    case DType::BF16:
      return encode_bf16(value);
    case DType::E4M3FN:
      return NarrowE4M3FN::encode(value);
    case DType::E5M2:
      return NarrowE5M2::encode(value);
    case DType::E4M3FNUZ:
      return NarrowE4M3FNUZ::encode(value);
    case DType::E5M2FNUZ:
      return NarrowE5M2FNUZ::encode(value);
    default:
      return ScalarF32::bits(value);
  }
}

inline void scalar_element(const Fill& f, int64_t memory, int64_t index) {
  unsigned char* const at = static_cast<unsigned char*>(f.data) + memory * item_size(f.dtype);
  if (f.dtype == DType::F64) {
    const double value = wide_value(f.distribution, f.key, index);
    std::memcpy(at, &value, sizeof value);
  } else {
    const uint32_t code = encode(f.dtype, single_value(f.distribution, f.key, index));
    std::memcpy(at, &code, static_cast<size_t>(item_size(f.dtype)));  // little-endian, as all that runs this
  }
}

// Element `i` in logical order, by division through the sizes.
inline void scalar_fill(const Fill& f) {
  for (int64_t i = 0; i < f.count; ++i) {
    int64_t memory = 0, index = f.origin, rest = i;
    for (int d = f.dims - 1; d >= 0; --d) {
      memory += rest % f.size[d] * f.memory_stride[d];
      index += rest % f.size[d] * f.index_stride[d];
      rest /= f.size[d];
    }
    scalar_element(f, memory, index);
  }
}

// Takes the layout as it was before set_layout merged and sorted its dimensions.
inline void scalar_pattern(const PatternFill& f, const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  for (int64_t i = 0; i < f.count; ++i) {
    int64_t memory = 0, rest = i;
    for (size_t d = size.size(); d-- > 0; rest /= size[d]) memory += rest % size[d] * stride[d];
    std::memcpy(static_cast<char*>(f.data) + memory * f.item_size, f.item, static_cast<size_t>(f.item_size));
  }
}

// By sorting the whole column.
inline void scalar_sparse(const SparseFill& s) {
  for (int64_t c = 0; c < s.columns; ++c) {
    std::vector<std::pair<uint32_t, int64_t>> order;
    for (int64_t row = 0; row < s.global_rows; ++row) {
      const auto i = static_cast<uint64_t>((s.first_column + c) * s.global_rows + row);
      order.emplace_back(scalar_word(s.key, Domain::SparseOrder, i), row);
    }
    std::sort(order.begin(), order.end());
    for (int64_t k = 0; k < s.zeros; ++k) {
      const int64_t row = order[static_cast<size_t>(k)].second - s.first_row;
      if (row < 0 || row >= s.rows) continue;
      std::memset(s.data + c * s.column_stride + row * s.row_stride, 0, static_cast<size_t>(s.item_size));
    }
  }
}

}  // namespace fastinit::test
