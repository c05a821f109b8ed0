#include "cases.h"

#include <limits>
#include <stdexcept>

#include "../../csrc/stream/plan.h"
#include "engine.h"
#include "scalar.h"

namespace fastinit::test {
namespace {

// ---- random fills: what ---------------------------------------------------------------------------------------------

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A distribution, with the form that it must be planned in for targets computed in float32 and for float64.
struct Law {
  const char* name;
  Distribution (*plan)(DType);
  Kind single, wide;
};

Distribution truncated(double mean, double std, double a, double b, DType t) {
  return plan_truncated_normal(mean, std, a, b, t);
}

const Law kUniform = {"uniform(0, 1)", [](DType t) { return plan_uniform(0, 1, t); }, Kind::Uniform, Kind::Uniform};
const Law kNormal = {"normal(0, 1)", [](DType t) { return plan_normal(0, 1, t); }, Kind::Normal, Kind::Normal};

const Law kLaws[] = {
    kUniform,
    {"uniform(-0.1, 0.3)", [](DType t) { return plan_uniform(-0.1, 0.3, t); }, Kind::Uniform, Kind::Uniform},
    {"uniform(-0, 1)", [](DType t) { return plan_uniform(-0.0, 1, t); }, Kind::Uniform, Kind::Uniform},
    {"uniform(2, 2)", [](DType t) { return plan_uniform(2, 2, t); }, Kind::Uniform, Kind::Uniform},
    kNormal,
    // Past the greatest number of the 8-bit formats, and below the least normal one of the 16-bit formats.
    {"normal(0.5, 300)", [](DType t) { return plan_normal(0.5, 300, t); }, Kind::Normal, Kind::Normal},
    {"normal(0, 1e-5)", [](DType t) { return plan_normal(0, 1e-5, t); }, Kind::Normal, Kind::Normal},
    // float64 has no central form, and calls fewer intervals narrow.
    {"narrow", [](DType t) { return truncated(0, 1, 0.25, 0.5, t); }, Kind::Narrow, Kind::Tail},
    {"narrow, reflected", [](DType t) { return truncated(0, 1, -0.5, -0.25, t); }, Kind::Narrow, Kind::Tail},
    {"narrow, both signs", [](DType t) { return truncated(0, 1, -0.125, 0.125, t); }, Kind::Narrow, Kind::Full},
    {"narrow, between the numbers of the 8-bit formats", [](DType t) { return truncated(0, 1, 0.2655, 0.2685, t); },
     Kind::Narrow, Kind::Narrow},
    {"central", [](DType t) { return truncated(0, 0.02, -0.04, 0.04, t); }, Kind::Central, Kind::Full},
    {"central, to 0", [](DType t) { return truncated(0, 0.02, -0.04, 0, t); }, Kind::Central, Kind::Full},
    {"central, one-sided", [](DType t) { return truncated(0.5, 2, -3, 1, t); }, Kind::Central, Kind::Full},
    {"tail", [](DType t) { return truncated(0, 1, 5, 9, t); }, Kind::Tail, Kind::Tail},
    {"tail, reflected and infinite", [](DType t) { return truncated(0, 1, -kInfinity, -10, t); }, Kind::Tail,
     Kind::Tail},
    {"full", [](DType t) { return truncated(0, 1, -1, 4, t); }, Kind::Full, Kind::Full},
    {"full, in the tail", [](DType t) { return truncated(0, 1, 3, 9, t); }, Kind::Full, Kind::Full},
    {"full, one-sided and infinite", [](DType t) { return truncated(0, 0.02, -kInfinity, 0.01, t); }, Kind::Full,
     Kind::Full},
    {"point, std 0", [](DType t) { return truncated(0.3, 0, -2, 2, t); }, Kind::Normal, Kind::Normal},
    {"point, a = b", [](DType t) { return truncated(0, 1, 0.7, 0.7, t); }, Kind::Normal, Kind::Normal},
    {"bounds out of reach", [](DType t) { return truncated(0.1, 0.02, -1, 1, t); }, Kind::Normal, Kind::Normal},
};

struct Type {
  const char* name;
  DType dtype;
};
const Type kTypes[] = {
    {"float32", DType::F32},   {"float64", DType::F64}, {"float16", DType::F16},       {"bfloat16", DType::BF16},
    {"e4m3fn", DType::E4M3FN}, {"e5m2", DType::E5M2},   {"e4m3fnuz", DType::E4M3FNUZ}, {"e5m2fnuz", DType::E5M2FNUZ},
};

// ---- random fills: where --------------------------------------------------------------------------------------------

struct Axis {
  int64_t size, memory, index;
};
// One fill, `at` elements into the buffer; axes as they stand in a Fill, merged.
struct Piece {
  std::vector<Axis> axes;
  int64_t origin = 0;
  int64_t at = 0;

  int64_t extent() const {
    int64_t last = 0;
    for (const Axis& a : axes) last += (a.size - 1) * a.memory;
    return axes.empty() || axes[0].size > 0 ? last + 1 : 0;
  }
};
struct View {
  const char* name;
  std::vector<Piece> pieces;
  bool aligned = false;  // to 16 bytes, which some stores want
};

Piece flat(int64_t count, int64_t origin) { return {{{count, 1, 1}}, origin}; }

// Every size up to `last`, from every place in a block, three untouched elements between.
View sizes(const char* name, int64_t last) {
  View v{name, {}};
  int64_t at = 0;
  for (int64_t n = 0; n <= last; ++n) {
    Piece p = flat(n, 5 * n);
    p.at = at;
    at += n + 3;
    v.pieces.push_back(p);
  }
  return v;
}

// Those that every distribution fills: each reaches its own code in the kernels.
std::vector<View> first_views() {
  return {
      sizes("sizes 0 to 150", 150),  // the longest loop takes 128 elements a turn
      {"flat 4097 from 1", {flat(4097, 1)}},
      {"transposed 67 x 45", {{{{67, 1, 45}, {45, 67, 1}}}}},
      {"rows of 21", {{{{33, 25, 21}, {21, 1, 1}}, 2}}},
  };
}

// The others, where only the layout is in question.
std::vector<View> other_views() {
  constexpr int64_t far = int64_t{1} << 40;
  return {
      sizes("sizes 0 to 300", 300),
      {"one element", {{{}, 7}}},
      {"flat 4096", {flat(4096, 0)}},
      {"flat 4095 from 2", {flat(4095, 2)}},
      {"flat 32771 from 3", {flat(32771, 3)}},
      {"flat from 2^33 + 1", {flat(5000, (int64_t{1} << 33) + 1)}},
      {"flat from 2^62 + 3", {flat(777, (int64_t{1} << 62) + 3)}},
      {"flat over block 2^32", {flat(777, (int64_t{1} << 34) - 331)}},
      {"transposed 1030 x 70", {{{{1030, 1, 70}, {70, 1030, 1}}, 70}}},
      {"transposed 515 x 8 from 1", {{{{515, 1, 9}, {8, 515, 1}}, 1}}},
      {"transposed 84 x 45, aligned", {{{{84, 1, 45}, {45, 84, 1}}}}, true},
      {"transposed 84 x 45 in rows of 86, aligned", {{{{84, 1, 45}, {45, 86, 1}}}}, true},
      {"transposed 5 x 1000", {{{{5, 1, 1000}, {1000, 5, 1}}}}},
      {"transposed 3 rows, padded", {{{{600, 4, 3}, {3, 2401, 1}}}}},
      {"rows of 2", {{{{700, 3, 2}, {2, 1, 1}}, 1}}},
      {"rows of 299", {{{{9, 311, 299}, {299, 1, 1}}, 3}}},
      {"rows of 16390", {{{{3, 16400, 16391}, {16390, 1, 1}}, 1}}},
      {"columns 5 to 15 of 37", {{{{50, 10, 37}, {10, 1, 1}}, 5}}},
      {"columns 5 to 305 of 1001", {{{{7, 300, 1001}, {300, 1, 1}}, 5}}},
      {"one column of 37", {{{{1200, 1, 37}}, 11}}},
      {"one column of 2^40", {{{{600, 2, far}}, 11}}},
      {"one innermost column, transposed", {{{{80, 1, 210}, {30, 80, 7}}, 6}}},
      {"innermost of three sizes, one of 7", {{{{4, 1000, 2100}, {300, 1, 7}}, 2}}},
      {"every third", {{{{5000, 3, 1}}, 1}}},
      {"channels last", {{{{2, 210, 210}, {5, 1, 42}, {42, 5, 1}}}}},
      {"channels last, a slice", {{{{3, 990, 4242}, {11, 1, 101}, {9, 110, 10}, {8, 11, 1}}, 1}}},
      {"complex, transposed", {{{{9, 2, 28}, {14, 18, 2}, {2, 1, 1}}}}},
      {"complex, one column", {{{{90, 2, 28}, {2, 1, 1}}, 6}}},
      {"five dimensions, permuted", {{{{3, 8, 120}, {4, 48, 30}, {2, 1, 15}, {5, 192, 3}, {3, 2, 1}}}}},
  };
}

// Run with each of kWraps.
std::vector<View> wrapped_views() {
  return {
      {"flat 1500 from 5", {flat(1500, 5)}},
      {"transposed 40 x 33", {{{{40, 1, 33}, {33, 40, 1}}, 3}}},
      {"one column of 3", {{{{500, 1, 3}}, 2}}},
  };
}

// Block offsets of the key near which a half of the counter, or the whole, runs over.
struct Wrap {
  const char* name;
  uint64_t offset;
};
const Wrap kWraps[] = {
    {"2^32 - 1", 0xffffffffu},          {"2^32 - 64", 0xffffffc0u},         {"2^32 - 21", 0xffffffebu},
    {"2^63 - 21", 0x7fffffffffffffebu}, {"2^64 - 21", 0xffffffffffffffebu}, {"2^64 - 1", 0xffffffffffffffffu},
};

constexpr Key kKey = {0x0123456789abcdefu, 0x42u};

// ---- random fills: by whom ------------------------------------------------------------------------------------------

Buffer run_fill(const View& view, const Distribution& distribution, DType dtype, Key key, bool scalar) {
  int64_t extent = 0;
  for (const Piece& p : view.pieces) extent = std::max(extent, p.at + p.extent());
  Buffer buffer(extent * item_size(dtype), view.aligned ? 0 : item_size(dtype));
  std::vector<Fill> fills;
  for (const Piece& p : view.pieces) {
    Fill f;
    f.data = buffer.data() + p.at * item_size(dtype);
    f.count = 1;
    for (const Axis& a : p.axes) {
      f.size[f.dims] = a.size;
      f.memory_stride[f.dims] = a.memory;
      f.index_stride[f.dims++] = a.index;
      f.count *= a.size;
    }
    f.origin = p.origin;
    f.dtype = dtype;
    f.distribution = distribution;
    f.key = scalar ? engine_key(key, static_cast<size_t>(&p - view.pieces.data())) : key;
    scalar ? scalar_fill(f) : fills.push_back(f);
  }
  engine_fill(fills);
  return buffer;
}

void add_fill(std::vector<Case>& cases, const Type& type, const Law& law, const View& view, Key key = kKey,
              const char* wrap = nullptr) {
  const DType dtype = type.dtype;
  const Distribution d = law.plan(dtype);
  std::string name = std::string(type.name) + "; " + law.name + "; " + view.name;
  if (wrap != nullptr) name += std::string("; block offset ") + wrap;
  if (d.kind != (dtype == DType::F64 ? law.wide : law.single)) throw std::logic_error(name + ": not in the form meant");
  cases.push_back({name, [=](bool scalar) { return run_fill(view, d, dtype, key, scalar); }});
}

void add_fills(std::vector<Case>& cases) {
  for (const Type& type : kTypes) {
    for (const Law& law : kLaws) {
      for (const View& view : first_views()) add_fill(cases, type, law, view);
    }
    for (const Law& law : {kUniform, kNormal}) {
      for (const View& view : other_views()) add_fill(cases, type, law, view);
    }
    for (const Wrap& wrap : kWraps) {
      for (const View& view : wrapped_views()) {
        add_fill(cases, type, kNormal, view, {kKey.seed, wrap.offset}, wrap.name);
      }
    }
  }
}

// ---- the operations that vectors are made of ------------------------------------------------------------------------

constexpr LaneRuns kScalarLanes = {run_lanes<ScalarF32>, run_lanes<ScalarF64>};

// Operands a, b, c one after the other.
std::vector<float> single_operands() {
  std::vector<float> a, b, c;
  const auto add = [&](float x, float y, float z) {
    a.push_back(x);
    b.push_back(y);
    c.push_back(z);
  };
  // x y is just below half a unit in the last place of z, by less than a double holds beside z: rounded first to
  // double the sum lies on the midpoint, and from there goes to the even neighbour, which may be the wrong one.
  for (int j = 1; j <= 256; ++j) {
    const float x = 0x1p23f + static_cast<float>(j), y = (0x1p23f - static_cast<float>(j)) * 0x1p-70f;
    for (const float z : {1.0f, 1.0f + 0x1p-23f}) {
      for (const float sign : {1.0f, -1.0f}) add(sign * x, y, sign * z);
    }
  }
  // On the midpoint itself, where a double loses nothing.
  for (int j = 0; j < 128; ++j) add(0x1p-24f, 1.0f, 1.0f + static_cast<float>(j) * 0x1p-23f);
  // Integers (as bit patterns) at the ends of their ranges, and equal operands; zeros of both signs.
  for (const uint32_t u : {0u, 1u, 0x00ffffffu, 0x01000001u, 0x4b7fffffu, 0x4b800000u, 0x7f7fffffu, 0x80000000u}) {
    add(ScalarF32::from_bits(u), ScalarF32::from_bits(u), 3.0f);
    add(ScalarF32::from_bits(u), ScalarF32::from_bits(u ^ 0x80000000u), -0.0f);
  }
  // Anything of moderate size.
  const auto moderate = [](uint32_t w) { return ScalarF32::from_bits((w & 0x83ffffffu) | 0x3c000000u); };
  for (uint64_t i = 0; a.size() % 4096 != 0; ++i) {
    const Words w = stream_block(kKey, i);
    add(moderate(w.w[0]), moderate(w.w[1]), moderate(w.w[2]));
  }
  a.insert(a.end(), b.begin(), b.end());
  a.insert(a.end(), c.begin(), c.end());
  return a;
}

std::vector<double> wide_operands() {
  std::vector<double> operands;
  for (uint64_t i = 0; i < 3 * 2048; ++i) {
    const Words w = stream_block(kKey, i);
    const uint64_t u = w.w[0] | uint64_t{w.w[1]} << 32;
    operands.push_back(ScalarF64::from_bits((u & 0x807fffffffffffffu) | 0x3fc0000000000000u));
  }
  return operands;
}

template <class T>
Buffer run_lanes_on(const std::vector<T>& operands, LaneRun<T> run) {
  const int64_t n = static_cast<int64_t>(operands.size()) / 3;
  Buffer buffer(kLaneOperations * n * static_cast<int64_t>(sizeof(T)), sizeof(T));
  const T* const a = operands.data();
  run(a, a + n, a + 2 * n, n, reinterpret_cast<T*>(buffer.data()));
  return buffer;
}

void add_lanes(std::vector<Case>& cases) {
  cases.push_back({"lanes of float32", [](bool scalar) {
                     return run_lanes_on(single_operands(), (scalar ? kScalarLanes : engine_lanes()).single);
                   }});
  cases.push_back({"lanes of float64", [](bool scalar) {
                     return run_lanes_on(wide_operands(), (scalar ? kScalarLanes : engine_lanes()).wide);
                   }});
}

// ---- words ----------------------------------------------------------------------------------------------------------

Buffer run_words(Key key, Domain domain, int64_t first, bool scalar) {
  constexpr int64_t longest = 70;
  Buffer buffer(longest * (longest + 4) * 4, 4);
  uint32_t* out = reinterpret_cast<uint32_t*>(buffer.data());
  for (int64_t count = 0; count <= longest; out += count++ + 1) {
    if (!scalar) {
      engine_words(key, domain, first + count, count, out);
    } else {
      for (int64_t i = 0; i < count; ++i) out[i] = scalar_word(key, domain, static_cast<uint64_t>(first + count + i));
    }
  }
  return buffer;
}

void add_words(std::vector<Case>& cases) {
  for (const Domain domain : {Domain::Main, Domain::FoldString, Domain::SparseOrder}) {
    for (const uint64_t offset : {uint64_t{0}, kWraps[2].offset, kWraps[4].offset}) {
      const std::string name =
          "words; domain " + std::to_string(static_cast<uint32_t>(domain)) + "; block offset " + std::to_string(offset);
      cases.push_back({name, [=](bool scalar) { return run_words({kKey.seed, offset}, domain, 3, scalar); }});
    }
  }
}

// ---- repeated elements ----------------------------------------------------------------------------------------------

struct Layout {
  const char* name;
  std::vector<int64_t> size, stride;
};

std::vector<Layout> layouts(int item_size) {
  const int64_t page = 4096 / item_size;
  return {
      {"one element", {}, {}},
      {"none", {0}, {1}},
      {"flat 1", {1}, {9}},
      {"flat 37", {37}, {1}},
      {"flat 5 x 1 x 100", {5, 1, 100}, {100, 7, 1}},
      {"every third", {50}, {3}},
      {"transposed", {13, 17}, {1, 13}},
      {"rows of 17 in 20", {13, 17}, {20, 1}},
      {"channels last", {2, 5, 6, 7}, {210, 1, 35, 5}},
      {"channels last, a slice", {2, 3, 6, 7}, {210, 1, 35, 5}},
      {"permuted, with gaps", {3, 4, 2, 5}, {9, 30, 1, 130}},
      // 4 MiB and rows of a page: from there on stores go around the cache.
      {"large", {1024 * page + 77}, {1}},
      {"large, rows", {1025, page + 3}, {page + 5, 1}},
  };
}

Buffer run_pattern(const Layout& layout, const std::vector<unsigned char>& item, int64_t skew, bool scalar) {
  int64_t extent = 1;
  for (size_t d = 0; d < layout.size.size(); ++d) extent += (layout.size[d] - 1) * layout.stride[d];
  PatternFill f;
  f.item_size = static_cast<int>(item.size());
  std::copy(item.begin(), item.end(), f.item);
  Buffer buffer(std::max<int64_t>(extent, 0) * f.item_size, skew);
  f.data = buffer.data();
  set_layout(f, static_cast<int>(layout.size.size()), layout.size.data(), layout.stride.data());
  if (scalar) {
    scalar_pattern(f, layout.size, layout.stride);
  } else {
    engine_pattern(f);
  }
  return buffer;
}

void add_pattern(std::vector<Case>& cases, const Layout& layout, int item_size, int64_t skew, bool zero) {
  std::vector<unsigned char> item(static_cast<size_t>(item_size), 0);
  if (!zero) {
    for (size_t i = 0; i < item.size(); ++i) item[i] = static_cast<unsigned char>(i + 1);
  }
  const std::string name = std::string(zero ? "zeros" : "pattern") + " of " + std::to_string(item_size) +
                           " bytes, from byte " + std::to_string(skew) + "; " + layout.name;
  cases.push_back({name, [=](bool scalar) { return run_pattern(layout, item, skew, scalar); }});
}

void add_patterns(std::vector<Case>& cases) {
  for (const int item_size : {1, 2, 4, 8, 16}) {
    for (const Layout& layout : layouts(item_size)) {
      add_pattern(cases, layout, item_size, item_size, false);
      if (item_size == 4) add_pattern(cases, layout, item_size, item_size, true);
      if (item_size == 16) add_pattern(cases, layout, item_size, 8, false);  // complex128 on the boundary of a double
    }
  }
}

// ---- sparse columns -------------------------------------------------------------------------------------------------

struct Sparse {
  int64_t rows, zeros, column, first, count;
};

// Two columns, one after the other in memory.
Buffer run_sparse(const Sparse& s, int64_t stride, int item_size, bool scalar) {
  const int64_t column = (s.count + 1) * stride;
  Buffer buffer(2 * column, item_size);
  char* const data = reinterpret_cast<char*>(buffer.data());
  const SparseFill f = {
      engine_key(kKey, 0), s.rows, s.zeros, s.first, s.count, s.column, 2, data, stride, column, item_size};
  scalar ? scalar_sparse(f) : engine_sparse(f);
  return buffer;
}

// Columns long enough that two rows have the same word, cut between those two: only the earlier row is zeroed.
Sparse with_a_tie(int64_t rows) {
  for (int64_t column = 0;; ++column) {
    std::vector<uint32_t> words(static_cast<size_t>(rows));
    for (int64_t r = 0; r < rows; ++r) {
      words[static_cast<size_t>(r)] = scalar_word(kKey, Domain::SparseOrder, static_cast<uint64_t>(column * rows + r));
    }
    std::sort(words.begin(), words.end());
    const auto tie = std::adjacent_find(words.begin(), words.end());
    if (tie != words.end()) return {rows, tie - words.begin() + 1, column, 0, rows};
  }
}

void add_sparse(std::vector<Case>& cases) {
  const Sparse all[] = {
      {1, 1, 0, 0, 1},         {7, 0, 3, 0, 7},       {7, 3, 5, 0, 7},          {300, 299, 2, 0, 300},
      {300, 300, 1, 100, 50},  {5000, 1, 9, 0, 5000}, {5000, 4500, 4, 0, 5000}, {5000, 500, 4, 4090, 13},
      {4096, 77, 1, 4000, 96}, with_a_tie(40000),
  };
  for (const Sparse& s : all) {
    for (const int item_size : {1, 4, 16}) {
      for (const int64_t stride : {int64_t{item_size}, int64_t{3} * item_size}) {
        const std::string name = "sparse; " + std::to_string(s.zeros) + " of " + std::to_string(s.rows) + "; rows " +
                                 std::to_string(s.first) + " and on of column " + std::to_string(s.column) +
                                 "; items " + std::to_string(item_size) + ", stride " + std::to_string(stride);
        cases.push_back({name, [=](bool scalar) { return run_sparse(s, stride, item_size, scalar); }});
      }
    }
  }
}

}  // namespace

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_lanes(cases);
  add_fills(cases);
  add_words(cases);
  add_patterns(cases);
  add_sparse(cases);
  add_orthogonal(cases);
  add_readings(cases);
  return cases;
}

}  // namespace fastinit::test
