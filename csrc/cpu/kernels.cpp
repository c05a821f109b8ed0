// The vector source: compiled once per instruction set, each into a namespace of its own.
#include "kernels.h"

#include "reflect.h"
#include "survey.h"
#include "tiles.h"

namespace fastinit::FASTINIT_ISA_NAMESPACE {
namespace {

// Calls f(d) with the parameters of the distribution at hand.
template <class F>
void with_single(const Distribution& d, F&& f) {
  switch (d.kind) {
    case Kind::Uniform:
      return f(d.single.uniform);
    case Kind::Normal:
      return f(d.single.normal);
    case Kind::Narrow:
      return f(d.single.narrow);
    case Kind::Tail:
      return f(d.single.tail);
    case Kind::Central:
      return f(d.single.central);
    case Kind::Full:
      return f(d.single.full);
  }
}

template <class F>
void with_wide(const Distribution& d, F&& f) {
  switch (d.kind) {
    case Kind::Uniform:
      return f(d.wide.uniform);
    case Kind::Normal:
      return f(d.wide.normal);
    case Kind::Narrow:
      return f(d.wide.narrow);
    case Kind::Tail:
      return f(d.wide.tail);
    case Kind::Full:
      return f(d.wide.full);
    case Kind::Central:  // float32 only (stream/plan.h)
      return;
  }
}

template <class Out>
void range_single(const Fill& f, int64_t first, int64_t count, void* dst) {
  const Philox philox(f.key, Domain::Main);
  with_single(f.distribution,
              [&](const auto& d) { fill_run<Out>(d, philox, first, count, static_cast<typename Out::T*>(dst)); });
}

// The 8-bit formats are rounded from a small buffer of float32.
template <class Narrow>
void range_f8(const Fill& f, int64_t first, int64_t count, void* dst) {
  constexpr int64_t chunk = 2048;
  float buffer[chunk];
  for (int64_t at = 0; at < count; at += chunk) {
    const int64_t n = std::min(chunk, count - at);
    range_single<OutF32>(f, first + at, n, buffer);
    for (int64_t i = 0; i < n; ++i) static_cast<uint8_t*>(dst)[at + i] = OutF8<Narrow>::narrow(buffer[i]);
  }
}

// Elements [first, first + count) of the stream to consecutive memory.
void run(const Fill& f, int64_t first, int64_t count, void* dst) {
  switch (f.dtype) {
    case DType::F32:
      return range_single<OutF32>(f, first, count, dst);
    case DType::F16:
      return range_single<OutF16>(f, first, count, dst);
    case DType::BF16:
      return range_single<OutBF16>(f, first, count, dst);
    case DType::E4M3FN:
      return range_f8<NarrowE4M3FN>(f, first, count, dst);
    case DType::E5M2:
      return range_f8<NarrowE5M2>(f, first, count, dst);
    case DType::E4M3FNUZ:
      return range_f8<NarrowE4M3FNUZ>(f, first, count, dst);
    case DType::E5M2FNUZ:
      return range_f8<NarrowE5M2FNUZ>(f, first, count, dst);
    case DType::F64: {
      const Philox philox(f.key, Domain::Main);
      return with_wide(f.distribution,
                       [&](const auto& d) { fill_run<OutF64>(d, philox, first, count, static_cast<double*>(dst)); });
    }
  }
}

void fill_range(const Fill& f, int64_t begin, int64_t end) {
  run(f, f.origin + begin, end - begin, static_cast<char*>(f.data) + begin * item_size(f.dtype));
}

template <class Values>
void generate(const Fill& f, const Philox& philox, TileValues<typename Values::T>& v) {
  const auto fill = [&](const auto& d) { fill_listed<Values>(d, philox, v.list.counters, v.list.padded(), v.values); };
  if constexpr (sizeof(typename Values::T) == 8) {
    with_wide(f.distribution, fill);
  } else {
    with_single(f.distribution, fill);
  }
}

template <class Out, class Values>
void tiles_as(const Fill& f, const Panels& p, int64_t begin, int64_t end) {
  const Philox philox(f.key, Domain::Main);
  TileValues<typename Values::T> v;
  for (int64_t i = begin; i < end; ++i) {
    const Panels::Tile t = p.tile(i);
    v.lay_out(philox, p, t, f.origin);
    generate<Values>(f, philox, v);
    write_tile<Out>(v, p, t, static_cast<typename Out::T*>(f.data) + t.memory);
  }
#if defined(__SSE2__)
  if (p.large) _mm_sfence();  // stores around the cache are ordered by nothing else
#endif
}

void fill_tiles(const Fill& f, const Panels& p, int64_t begin, int64_t end) {
  if (p.direct) {
    for (int64_t i = begin; i < end; ++i) {
      const Panels::Tile t = p.tile(i);
      run(f, f.origin + t.index, t.cols, static_cast<char*>(f.data) + t.memory * item_size(f.dtype));
    }
    return;
  }
  switch (f.dtype) {
    case DType::F32:
      return tiles_as<OutF32, OutF32>(f, p, begin, end);
    case DType::F64:
      return tiles_as<OutF64, OutF64>(f, p, begin, end);
    case DType::F16:
      return tiles_as<OutF16, OutF32>(f, p, begin, end);
    case DType::BF16:
      return tiles_as<OutBF16, OutF32>(f, p, begin, end);
    case DType::E4M3FN:
      return tiles_as<OutF8<NarrowE4M3FN>, OutF32>(f, p, begin, end);
    case DType::E5M2:
      return tiles_as<OutF8<NarrowE5M2>, OutF32>(f, p, begin, end);
    case DType::E4M3FNUZ:
      return tiles_as<OutF8<NarrowE4M3FNUZ>, OutF32>(f, p, begin, end);
    case DType::E5M2FNUZ:
      return tiles_as<OutF8<NarrowE5M2FNUZ>, OutF32>(f, p, begin, end);
  }
}

void words(Key key, Domain domain, int64_t first, int64_t count, uint32_t* out) {
  const Philox philox(key, domain);
  int64_t at = -(first % 4);
  uint64_t block = static_cast<uint64_t>(first / 4);
  constexpr int64_t step = 2 * kLanes32;
  for (; at < count; at += step, block += kLanes64) {
    U64 counters = lane_blocks(Order::Interleaved);
    counters += philox.counter(block);
    Many<U32, 1> even, odd;
    philox.at(Many<U64, 1>{{counters}}, even, odd);
    uint32_t buffer[step];
    store(buffer, interleave_lower((F32)even.v[0], (F32)odd.v[0]));
    store(buffer + kLanes32, interleave_upper((F32)even.v[0], (F32)odd.v[0]));
    const int64_t from = std::max<int64_t>(at, 0);
    const int64_t to = std::min(at + step, count);
    std::copy(buffer + (from - at), buffer + (to - at), out + from);
  }
}

}  // namespace

extern const Kernels kernels;
#define FASTINIT_QUOTE(x) #x
#define FASTINIT_NAME(x) FASTINIT_QUOTE(x)
// The namespace is isa_<name>.
const Kernels kernels = {
    &FASTINIT_NAME(FASTINIT_ISA_NAMESPACE)[4], fill_range, fill_tiles, words, orthogonalize, survey};

}  // namespace fastinit::FASTINIT_ISA_NAMESPACE
