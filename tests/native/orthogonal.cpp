// Small orthogonal matrices. Their last bits depend on whether there is an fma, so what is hashed is a verdict: the
// matrices' bytes are cleared where they are near those of the definition, and the bytes around them must be as they were.
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#include "cases.h"
#include "engine.h"

namespace fastinit::test {
namespace {

struct Orthogonal {
  int64_t count, rows, columns;
  bool wide, complex, special;
  bool zeros;  // a Gaussian matrix of nothing but 0, whose reflectors have no direction
};

constexpr int64_t kGap = 5;  // numbers between matrices
constexpr double kGain = 1.5;

using Number = std::complex<double>;

// docs/stream.md, section 4.9, in float64, without any of the kernel's order.
std::vector<Number> definition(const Orthogonal& o, const std::vector<Number>& gaussian) {
  const int64_t m = std::max(o.rows, o.columns), n = std::min(o.rows, o.columns);
  const auto place = [&](int64_t i, int64_t k) {
    return static_cast<size_t>(o.rows >= o.columns ? i * o.columns + k : k * o.columns + i);
  };
  std::vector<Number> q(gaussian.size()), v(static_cast<size_t>(m)), phase;
  Number det = 1;
  for (int64_t k = 0; k < n; ++k) {
    const Number head = gaussian[place(k, k)];
    phase.push_back(head == 0.0 ? 1.0 : head / std::abs(head));
    det *= phase.back();
    q[place(k, k)] = -phase.back() * kGain;
  }
  if (o.special) q[place(n - 1, n - 1)] *= std::conj(det);
  for (int64_t k = n - 1; k >= 0; --k) {
    double square = 0;
    for (int64_t i = k; i < m; ++i) {
      v[static_cast<size_t>(i)] = gaussian[place(i, k)];
      square += std::norm(gaussian[place(i, k)]);
    }
    v[static_cast<size_t>(k)] += phase[static_cast<size_t>(k)] * (square == 0 ? 1.0 : std::sqrt(square));
    square = 0;
    for (int64_t i = k; i < m; ++i) square += std::norm(v[static_cast<size_t>(i)]);
    for (int64_t j = k; j < n; ++j) {
      Number dot = 0;
      for (int64_t i = k; i < m; ++i) dot += std::conj(v[static_cast<size_t>(i)]) * q[place(i, j)];
      for (int64_t i = k; i < m; ++i) q[place(i, j)] -= v[static_cast<size_t>(i)] * dot * (2 / square);
    }
  }
  return q;
}

// Gaussian matrices with a gap after each.
SmallMatrices described(const Orthogonal& o, void* data) {
  const int64_t stride = o.rows * o.columns * (o.complex ? 2 : 1) + kGap;
  return {data, o.count, o.rows, o.columns, stride, o.wide, o.complex, o.special, kGain};
}

template <class T>
Buffer run_as(const Orthogonal& o, bool scalar) {
  const int64_t parts = o.complex ? 2 : 1, size = o.rows * o.columns, stride = size * parts + kGap;
  // Vectors that are aligned to their numbers only.
  Buffer buffer(((o.count - 1) * stride + size * parts) * static_cast<int64_t>(sizeof(T)), sizeof(T));
  T* const data = reinterpret_cast<T*>(buffer.data());
  std::vector<std::vector<Number>> expected;
  uint64_t state = 1;
  for (int64_t number = 0; number < o.count; ++number) {
    std::vector<Number> gaussian;
    for (int64_t i = 0; i < size * parts; ++i) {
      T& x = data[number * stride + i];
      x = 0;
      for (int term = 0; term < 6 && !o.zeros; ++term) {  // near enough to Gaussian
        state = state * 6364136223846793005u + 1442695040888963407u;
        x += static_cast<T>(static_cast<int64_t>(state) >> 40) * static_cast<T>(0x1p-23);
      }
      if (i % parts == 0) {
        gaussian.emplace_back(x);
      } else {
        gaussian.back().imag(x);
      }
    }
    expected.push_back(definition(o, gaussian));
  }
  if (!scalar) {
    engine_orthogonalize(described(o, data));
  }
  // docs/stream.md, section 6.
  const double side = static_cast<double>(std::max(o.rows, o.columns));
  const double tolerance = (8 + std::sqrt(side)) * static_cast<double>(std::numeric_limits<T>::epsilon()) * kGain;
  for (int64_t number = 0; number < o.count; ++number) {
    for (int64_t i = 0; i < size; ++i) {
      T* const x = data + number * stride + i * parts;
      const Number found(x[0], o.complex ? x[1] : 0);
      const bool near = std::abs(found - expected[static_cast<size_t>(number)][static_cast<size_t>(i)]) <= tolerance;
      if (scalar || near) std::fill_n(x, parts, T(0));
    }
  }
  return buffer;
}

}  // namespace

void add_orthogonal(std::vector<Case>& cases) {
  const int64_t shapes[][3] = {{3, 1, 1},    {3, 2, 2},    {3, 3, 7},   {3, 16, 16}, {3, 17, 33},
                               {3, 33, 17},  {3, 64, 64},  {3, 65, 65}, {3, 100, 5}, {3, 5, 100},
                               {3, 128, 70}, {3, 70, 128}, {2000, 3, 7}};
  for (const auto& shape : shapes) {
    for (const bool wide : {false, true}) {
      for (const bool complex : {false, true}) {
        for (const bool special : {false, true}) {
          for (const bool zeros : {false, true}) {
            if (special && shape[1] != shape[2]) continue;
            const Orthogonal o{shape[0], shape[1], shape[2], wide, complex, special, zeros};
            if (!engine_orthogonalizes(described(o, nullptr))) continue;
            const std::string name = std::string("orthogonal; ") + (complex ? "complex " : "") +
                                     (wide ? "float64" : "float32") + (special ? "; determinant 1; " : "; ") +
                                     (zeros ? "of zeros; " : "") + std::to_string(shape[0]) + " of " +
                                     std::to_string(shape[1]) + " x " + std::to_string(shape[2]);
            cases.push_back(
                {name, [=](bool scalar) { return wide ? run_as<double>(o, scalar) : run_as<float>(o, scalar); }});
          }
        }
      }
    }
  }
}

}  // namespace fastinit::test
