#include "pattern.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fastinit {
namespace {

// Past this size a cached store would first read every line that it is about to overwrite.
constexpr int64_t kStreamBytes = int64_t{4} << 20;

bool one_byte(const PatternFill& f) {
  return std::all_of(f.item, f.item + f.item_size, [&](unsigned char c) { return c == f.item[0]; });
}

// `count` elements of consecutive memory, `large` if they are part of a large fill.
void fill_consecutive(const PatternFill& f, char* p, int64_t count, bool large) {
  const int64_t bytes = count * f.item_size;
  if (one_byte(f)) {
    std::memset(p, f.item[0], static_cast<size_t>(bytes));
    return;
  }
  unsigned char block[kMaxItem];  // item sizes are powers of two
  for (int i = 0; i < kMaxItem; ++i) block[i] = f.item[i % f.item_size];
  int64_t at = 0;
#if defined(__SSE2__)
  if (large && reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(f.item_size) == 0) {
    for (; at < bytes && reinterpret_cast<uintptr_t>(p + at) % kMaxItem != 0; at += f.item_size) {
      std::memcpy(p + at, f.item, static_cast<size_t>(f.item_size));
    }
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
    for (; at + 64 <= bytes; at += 64) {
      for (int k = 0; k < 64; k += kMaxItem) _mm_stream_si128(reinterpret_cast<__m128i*>(p + at + k), v);
    }
    _mm_sfence();
  }
#else
  (void)large;
#endif
  for (; at + kMaxItem <= bytes; at += kMaxItem) std::memcpy(p + at, block, kMaxItem);
  for (; at < bytes; at += f.item_size) std::memcpy(p + at, f.item, static_cast<size_t>(f.item_size));
}

}  // namespace

void fill_pattern(const PatternFill& f, int64_t begin, int64_t end) {
  char* const data = static_cast<char*>(f.data);
  const bool large = f.count * f.item_size >= kStreamBytes;
  if (f.flat()) return fill_consecutive(f, data + begin * f.item_size, end - begin, large);
  const int last = f.dims - 1;
  const int64_t width = f.size[last];
  for (int64_t at = begin; at < end;) {
    const int64_t c = at % width;
    int64_t offset = c * f.stride[last];
    for (int64_t d = last - 1, rest = at / width; d >= 0; rest /= f.size[d--]) {
      offset += rest % f.size[d] * f.stride[d];
    }
    const int64_t run = std::min(width - c, end - at);
    char* p = data + offset * f.item_size;
    if (f.stride[last] == 1) {
      fill_consecutive(f, p, run, large && run * f.item_size >= 4096);
    } else {
      for (int64_t i = 0; i < run; ++i, p += f.stride[last] * f.item_size) {
        std::memcpy(p, f.item, static_cast<size_t>(f.item_size));
      }
    }
    at += run;
  }
}

}  // namespace fastinit
