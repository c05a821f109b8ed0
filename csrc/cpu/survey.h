// One read of a tensor: moments, extremes, zeros, what is not finite, and a histogram.
//
// Elements are taken in blocks, and a block in rows of 16 lanes whatever the vector width, with no fused operation: the
// sums are the same bits from every instruction set. They are taken in float64 from the block's first element, so that
// neither an offset nor the number of elements costs accuracy.
//
// Counting is what takes time: an increment in memory is about a cycle. So two elements share one: their codes are the
// row and the column of a joint table, whose margins are added up when its 16-bit counters may be full.
#pragma once

#include <algorithm>

#include "inputs.h"
#include "statistics.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {

constexpr int kBlock = 2048;  // elements; its codes stay in the first-level cache
constexpr int kLine = 64;     // bytes that memory delivers at once
// Steps between the making of codes and their counting, which then overlap.
constexpr int kLag = 4;
// How far ahead memory is asked for, in bytes. The increments fill the processor's window, so that it does not look ahead
// itself: without this a read took almost twice as long.
constexpr int kAhead = 8192;

// One more in each lane whose number is not 0. By its bits: a mode that flushes subnormals changes nothing.
FASTINIT_INLINE void count_nonzero(U32& counts, U32 bits) {
#if FASTINIT_V4
  const __mmask16 some = _mm512_test_epi32_mask((__m512i)bits, _mm512_set1_epi32(0x7fffffff));
  counts = (U32)_mm512_mask_add_epi32((__m512i)counts, some, (__m512i)counts, _mm512_set1_epi32(1));
#else
  counts -= (U32)((bits << 1) != 0);
#endif
}
FASTINIT_INLINE void count_nonzero(U64& counts, U64 bits) {
#if FASTINIT_V4
  const __mmask8 some = _mm512_test_epi64_mask((__m512i)bits, _mm512_set1_epi64(INT64_MAX));
  counts = (U64)_mm512_mask_add_epi64((__m512i)counts, some, (__m512i)counts, _mm512_set1_epi64(1));
#else
  counts -= (U64)((bits << 1) != 0);
#endif
}

// Counts of pairs of codes.
class JointTable {
 public:
  // Counts one code into `counts` for each element of the pairs since the last time.
  void flush(int64_t* counts) {
    uint32_t columns[kCodes] = {};
    for (int r = 0; r < kCodes; ++r) {
      uint32_t row = 0;
      for (int c = 0; c < kCodes; ++c) {
        row += cells_[r * kCodes + c];
        columns[c] += cells_[r * kCodes + c];
      }
      counts[r] += row;
    }
    for (int c = 0; c < kCodes; ++c) counts[c] += columns[c];
    std::memset(cells_, 0, sizeof cells_);
    pairs_ = 0;
  }

  // Makes sure that so many more pairs can be added.
  void reserve(int pairs, int64_t* counts) {
    if (pairs_ + pairs > kMost) flush(counts);
    pairs_ += pairs;
  }

  // `codes` holds the numbers of kRow cells.
  template <class U>
  FASTINIT_INLINE void add(const U* codes) {
#pragma GCC unroll 16
    for (int k = 0; k < kRow; ++k) ++cells_[codes[k]];
  }

 private:
  static constexpr int kMost = 0xffff;  // all may fall into one cell
  uint16_t cells_[kCodes * kCodes] = {};
  int pairs_ = 0;
};

template <class In, bool Codes>
class Survey {
  using Lane = typename In::Lane;
  using T = typename In::T;
  using W = typename Lane::T;  // the type it is worked in
  using F = typename Lane::F;
  using U = typename Lane::U;
  using Word = typename ScalarOf<W>::U;

 public:
  explicit Survey(const Reading& r) : reading_(r), origin_(static_cast<W>(r.origin)), scale_(static_cast<W>(r.scale)) {}

  void run(int64_t begin, int64_t end, Moments* moments, int64_t* counts) {
    T buffer[kBlock];
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      Moments& m = *moments++ = Moments{};
      const int64_t last = std::min((chunk + 1) * kReadingChunk, reading_.count);
      for (int64_t at = chunk * kReadingChunk; at < last; at += kBlock) {
        const int n = static_cast<int>(std::min<int64_t>(kBlock, last - at));
        const T* p = static_cast<const T*>(reading_.data) + at;
        if (!reading_.flat()) {
          gather(at, n, buffer);
          p = buffer;
        } else if (n % kStep != 0) {
          std::memcpy(buffer, p, static_cast<size_t>(n) * sizeof(T));
          p = buffer;
        }
        // A part of a step is filled up with the first element, which adds nothing to the sums.
        const int padded = (n + kStep - 1) / kStep * kStep;
        for (int i = n; i < padded; ++i) buffer[i] = buffer[0];
        Moments b = block<Codes>(p, n, padded, counts);
        if (!(b.squares <= std::numeric_limits<double>::max())) b = finite_of(p, n, counts);
        m.add(b);
      }
    }
    if constexpr (Codes) table_.flush(counts);
  }

 private:
  // Elements [at, at + n) in the order of memory.
  void gather(int64_t at, int n, T* to) const {
    const int inner = reading_.dims - 1;
    const int64_t width = reading_.size[inner], step = reading_.stride[inner];
    while (n > 0) {
      const int64_t column = at % width;
      int64_t offset = column * step;
      for (int64_t d = inner - 1, rest = at / width; d >= 0; rest /= reading_.size[d--]) {
        offset += rest % reading_.size[d] * reading_.stride[d];
      }
      const T* const from = static_cast<const T*>(reading_.data) + offset;
      const int run = static_cast<int>(std::min<int64_t>(width - column, n));
      if (step == 1) {
        std::memcpy(to, from, static_cast<size_t>(run) * sizeof(T));
      } else {
        for (int i = 0; i < run; ++i) to[i] = from[i * step];
      }
      at += run;
      to += run;
      n -= run;
    }
  }

  FASTINIT_INLINE U code(F x) const {
    const F t = (x - Lane::splat(origin_)) * Lane::splat(scale_);
    // A NaN is not greater than 0.
    return whole(Lane::min(Lane::max(t, Lane::splat(0)), Lane::splat(kCodes - 1)));
  }
  int code_of(W x) const {
    const W t = (x - origin_) * scale_;
    return static_cast<int>(std::min<W>(t > 0 ? t : 0, kCodes - 1));
  }

  // Asks for the first or the second half of the lines of the step that lies kAhead behind the one at p.
  static FASTINIT_INLINE void ask(const T* p, int half) {
    constexpr int lines = kStep * static_cast<int>(sizeof(T)) / kLine, each = (lines + 1) / 2;
    const char* const at = reinterpret_cast<const char*>(p) + kAhead + half * each * kLine;
    for (int k = 0; k < each; ++k) {
      if (half * each + k < lines) __builtin_prefetch(at + k * kLine);
    }
  }

  // The moments of n elements, and of `padded` - n copies of the first.
  template <bool Count>
  Moments block(const T* p, int n, int padded, int64_t* counts) {
    constexpr int vectors = kRow * static_cast<int>(sizeof(W)) / kBytes;
    const W first = In::widen(p[0]);
    const F64 pivot = Lane64::splat(first);
    Row<F64> sum{}, square{};
    Row<F> least, greatest;
    Row<U> nonzero{};
    for (int k = 0; k < vectors; ++k) least.v[k] = greatest.v[k] = Lane::splat(first);
    alignas(kBytes) Word codes[Count ? kBlock / 2 : 1];
    if constexpr (Count) table_.reserve(padded / 2, counts);
    for (int i = 0; i < padded; i += kStep) {
      Row<F> rows[2];
#pragma GCC unroll 2
      for (int r = 0; r < 2; ++r) {
        ask(p + i, r);
        const Row<F> x = rows[r] = r == 0 ? In::template load_row<0>(p + i) : In::template load_row<1>(p + i);
#pragma GCC unroll 8
        for (int k = 0; k < vectors; ++k) {
          least.v[k] = Lane::min(x.v[k], least.v[k]);
          greatest.v[k] = Lane::max(x.v[k], greatest.v[k]);
          count_nonzero(nonzero.v[k], Lane::bits(x.v[k]));
        }
        const Row<F64> wide = widened(x);
#pragma GCC unroll 8
        for (int k = 0; k < kRow / kLanes64; ++k) {
          const F64 d = wide.v[k] - pivot;
          sum.v[k] += d;
          square.v[k] += d * d;
        }
        asm volatile("" ::: "memory");  // keeps the requests apart: two in a row halved the rate
      }
      if constexpr (Count) {
#pragma GCC unroll 8
        for (int k = 0; k < vectors; ++k) {
          constexpr int lanes = kRow / vectors;
          store(codes + i / 2 + k * lanes, code(rows[0].v[k]) * kCodes + code(rows[1].v[k]));
        }
        if (i >= kLag * kStep) table_.add(codes + i / 2 - kLag * kRow);
      }
    }
    if constexpr (Count) {
      for (int i = std::max(padded / kStep - kLag, 0); i < padded / kStep; ++i) table_.add(codes + i * kRow);
      counts[code_of(first)] -= padded - n;
    }

    double sums[kRow], squares[kRow];
    W low[kRow], high[kRow];
    Word other[kRow];
    spill(sum, sums), spill(square, squares), spill(least, low), spill(greatest, high), spill(nonzero, other);
#pragma GCC unroll 4
    for (int half = kRow / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < half; ++i) {
        sums[i] += sums[i + half];
        squares[i] += squares[i + half];
        low[i] = std::min(low[i], low[i + half]);
        high[i] = std::max(high[i], high[i + half]);
        other[i] += other[i + half];
      }
    }
    Word first_bits;
    std::memcpy(&first_bits, &first, sizeof first);
    Moments m;
    m.count = n;
    const double off = sums[0] / n;
    m.base = first;
    m.mean = off;
    m.squares = squares[0] - sums[0] * off;
    m.squares = m.squares < 0 ? 0 : m.squares;  // but a NaN stays one
    m.least = low[0];
    m.greatest = high[0];
    m.zeros = n - static_cast<int64_t>(other[0]) + (first_bits << 1 != 0 ? padded - n : 0);
    return m;
  }

  template <class V, class S>
  static FASTINIT_INLINE void spill(const Row<V>& row, S* to) {
    for (size_t k = 0; k < sizeof row / sizeof(V); ++k) store(to + k * (kBytes / sizeof(S)), row.v[k]);
  }

  // The moments of a block in which something is not finite, without that; the codes have been counted, with it.
  __attribute__((noinline)) Moments finite_of(const T* p, int n, int64_t* counts) {
    T kept[kBlock];
    int count = 0;
    Moments m;
    for (int i = 0; i < n; ++i) {
      const W x = In::widen(p[i]);
      if (x - x == 0) {
        kept[count++] = p[i];
      } else if (x > 0) {
        ++m.positive_infinities;
      } else if (x < 0) {
        ++m.negative_infinities;
      } else {
        ++m.nans;
      }
    }
    if constexpr (Codes) {
      counts[0] -= m.nans + m.negative_infinities;
      counts[kCodes - 1] -= m.positive_infinities;
    }
    if (count == 0) return m;
    const int padded = (count + kStep - 1) / kStep * kStep;
    for (int i = count; i < padded; ++i) kept[i] = kept[0];
    m.add(block<false>(kept, count, padded, counts));
    return m;
  }

  const Reading& reading_;
  const W origin_, scale_;
  JointTable table_;
};

template <class In>
void survey_as(const Reading& r, int64_t begin, int64_t end, Moments* moments, int64_t* counts) {
  if (r.scale == 0) {
    Survey<In, false>(r).run(begin, end, moments, counts);
  } else {
    Survey<In, true>(r).run(begin, end, moments, counts);
  }
}

// Chunks [begin, end) of a reading: the moments of each, and all their codes added to `counts`.
inline void survey(const Reading& r, int64_t begin, int64_t end, Moments* moments, int64_t* counts) {
  switch (r.dtype) {
    case DType::F32:
      return survey_as<InF32>(r, begin, end, moments, counts);
    case DType::F64:
      return survey_as<InF64>(r, begin, end, moments, counts);
    case DType::F16:
      return survey_as<InF16>(r, begin, end, moments, counts);
    case DType::BF16:
      return survey_as<InBF16>(r, begin, end, moments, counts);
    default:  // 8-bit formats are not read here
      return;
  }
}

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
