// Reading: moments and counts of elements of every type in all kinds of layouts, against one element at a time. The order
// of the sums is part of what is promised, so they are compared as bits. A source has no byte to spare, so that a read
// beyond its end shows under the sanitizers.
#include <algorithm>
#include <cmath>

#include "../../csrc/stream/pattern.h"
#include "cases.h"
#include "engine.h"

namespace fastinit::test {
namespace {

constexpr int kBlock = 2048, kLanes = 16;

struct Layout {
  const char* name;
  std::vector<int64_t> size, stride;
};

struct Source {
  DType dtype;
  Layout layout;
  bool codes, finite;
};

double decode_half(uint16_t h, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = h >> fraction_bits & ((1 << exponent_bits) - 1), fraction = h & ((1 << fraction_bits) - 1);
  const double sign = h >> 15 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

template <class T>
T loaded(const unsigned char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

double element(DType t, const unsigned char* p) {
  switch (t) {
    case DType::F16:
      return decode_half(loaded<uint16_t>(p), 5);
    case DType::BF16:
      return decode_half(loaded<uint16_t>(p), 8);
    case DType::F64:
      return loaded<double>(p);
    default:
      return loaded<float>(p);
  }
}

// Numbers of some size and both signs, zeros and subnormal numbers among them; the rest where it is wanted.
void write(DType t, bool finite, uint32_t i, unsigned char* p) {
  uint32_t h = i * 0x9E3779B9u;
  h = (h ^ h >> 15) * 0x85EBCA6Bu;
  double x = static_cast<int32_t>(h) * 0x1p-29 * (h % 5 == 0 ? 1e-3 : 1);
  if (h % 37 == 0) x = h % 2 ? 0.0 : -0.0;
  if (h % 41 == 0) x = h % 2 ? 3e-44 : 1e-7;
  if (!finite && h % 101 == 0) x = h % 3 == 0 ? NAN : h % 3 == 1 ? INFINITY : -INFINITY;
  if (!finite && i >= 3 * kBlock && i < 4 * kBlock) x = NAN;  // a block without any
  const auto f = static_cast<float>(x);
  const auto h16 = static_cast<uint16_t>(t == DType::F16 ? NarrowF16::encode(f) : encode_bf16(f));
  if (t == DType::F64) std::memcpy(p, &x, sizeof x);
  if (t == DType::F32) std::memcpy(p, &f, sizeof f);
  if (item_size(t) == 2) std::memcpy(p, &h16, sizeof h16);
}

int64_t code(const Reading& r, double x) {
  const double t = r.dtype == DType::F64
                       ? (x - r.origin) * r.scale
                       : (static_cast<float>(x) - static_cast<float>(r.origin)) * static_cast<float>(r.scale);
  return static_cast<int64_t>(t < 0 ? 0 : t > kCodes - 1 ? kCodes - 1 : t);
}

// Of at most kBlock elements.
Moments block_of(DType t, const std::vector<double>& all) {
  Moments rest, m;
  std::vector<double> x;
  for (const double v : all) {
    if (std::isfinite(v)) x.push_back(v);
    rest.nans += std::isnan(v);
    rest.positive_infinities += v == INFINITY;
    rest.negative_infinities += v == -INFINITY;
  }
  if (x.empty()) return rest;
  double sum[kLanes] = {}, square[kLanes] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    // In bfloat16 neighbours come from one load, into the same lane of two vectors.
    const size_t lane = t == DType::BF16 ? i % (2 * kLanes) / 2 : i % kLanes;
    const double d = x[i] - x[0];
    sum[lane] += d;
    square[lane] += d * d;
    m.least = std::min(m.least, x[i]);
    m.greatest = std::max(m.greatest, x[i]);
    m.zeros += x[i] == 0;
  }
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      sum[i] += sum[i + half];
      square[i] += square[i + half];
    }
  }
  m.count = static_cast<double>(x.size());
  m.base = x[0];
  m.mean = sum[0] / m.count;
  m.squares = std::max(square[0] - sum[0] * m.mean, 0.0);
  if (x.size() == all.size()) return m;
  rest.add(m);
  return rest;
}

void scalar_survey(const Reading& r, std::vector<Moments>& moments, int64_t* counts) {
  const auto* const data = static_cast<const unsigned char*>(r.data);
  const auto at = [&](int64_t i) {
    int64_t offset = 0;
    for (int64_t d = r.dims - 1, rest = i; d >= 0; rest /= r.size[d--]) offset += rest % r.size[d] * r.stride[d];
    return element(r.dtype, data + offset * item_size(r.dtype));
  };
  for (int64_t i = 0; i < r.count; i += kBlock) {
    std::vector<double> block;
    for (int64_t k = i; k < std::min(i + kBlock, r.count); ++k) {
      block.push_back(at(k));
      if (r.scale != 0 && std::isfinite(block.back())) ++counts[code(r, block.back())];
    }
    moments[static_cast<size_t>(i / kReadingChunk)].add(block_of(r.dtype, block));
  }
}

Buffer run_reading(const Source& s, bool scalar) {
  int64_t extent = 1;
  for (size_t d = 0; d < s.layout.size.size(); ++d) extent += (s.layout.size[d] - 1) * s.layout.stride[d];
  const int64_t item = item_size(s.dtype);
  std::vector<unsigned char> memory(static_cast<size_t>(std::max<int64_t>(extent, 0) * item));
  for (int64_t i = 0; i < extent; ++i)
    write(s.dtype, s.finite, static_cast<uint32_t>(i), &memory[static_cast<size_t>(i * item)]);
  Reading r;
  r.data = memory.data();
  r.dtype = s.dtype;
  set_layout(r, static_cast<int>(s.layout.size.size()), s.layout.size.data(), s.layout.stride.data());
  if (s.codes) {
    r.origin = -3.25;
    r.scale = 20.5;
  }
  std::vector<Moments> moments(static_cast<size_t>(r.chunks()));
  int64_t counts[kCodes] = {};
  if (scalar) {
    scalar_survey(r, moments, counts);
  } else {
    engine_survey(r, moments.data(), counts);
  }
  Buffer out(static_cast<int64_t>(moments.size()) * 9 * 8 + kCodes * 8, 0);
  unsigned char* to = out.data();
  const auto put = [&](auto number) {
    std::memcpy(to, &number, 8);
    to += 8;
  };
  for (const Moments& m : moments) {
    // Which of two zeros is the least is left open.
    put(m.count), put(m.base + m.mean), put(m.squares), put(m.least + 0.0), put(m.greatest + 0.0);
    put(m.zeros), put(m.nans), put(m.positive_infinities), put(m.negative_infinities);
  }
  for (const int64_t n : counts) put(n);
  return out;
}

}  // namespace

void add_readings(std::vector<Case>& cases) {
  if (!engine_reads()) return;
  const Layout layouts[] = {
      {"one element", {}, {}},
      {"none", {0}, {1}},
      {"flat 7", {7}, {1}},
      {"flat 32", {32}, {1}},
      {"flat 2049", {2049}, {1}},
      {"flat, two chunks", {kReadingChunk + 8191}, {1}},
      {"transposed", {130, 170}, {1, 130}},
      {"every third", {5000}, {3}},
      {"rows of 17 in 20", {300, 17}, {20, 1}},
      {"rows of 3000 in 3001", {30, 3000}, {3001, 1}},
      {"expanded", {40, 50}, {0, 1}},
      {"permuted, with gaps", {13, 14, 12, 15}, {2600, 17, 250, 1}},
  };
  for (const DType t : {DType::F32, DType::F64, DType::F16, DType::BF16}) {
    for (const Layout& layout : layouts) {
      for (const bool codes : {false, true}) {
        for (const bool finite : {true, false}) {
          const Source s{t, layout, codes, finite};
          const std::string name = "reading; type " + std::to_string(static_cast<int>(t)) + "; " + layout.name +
                                   (codes ? "; with codes" : "") + (finite ? "" : "; not all finite");
          cases.push_back({name, [=](bool scalar) { return run_reading(s, scalar); }});
        }
      }
    }
  }
}

}  // namespace fastinit::test
