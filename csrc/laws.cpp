#include "laws.h"

#include <cmath>

#include "stream/plan.h"

namespace fastinit {
namespace {

DType check_uniform(const at::Tensor& self, double a, double b) {
  const DType dtype = random_dtype(self, "check_uniform_bounds");
  const double max = format_of(dtype).max;
  TORCH_CHECK(a >= -max && a <= max, "from is out of bounds for ", self.dtype());
  TORCH_CHECK(b >= -max && b <= max, "to is out of bounds for ", self.dtype());
  TORCH_CHECK(a <= b, "uniform_ expects to return a [from, to) range, but found from=", a, " > to=", b);
  TORCH_CHECK(b - a <= max, "uniform_ expects to-from <= std::numeric_limits<", toString(self.scalar_type()),
              ">::max(), but found to=", b, " and from=", a, " which result in to-from to exceed the limit");
  return dtype;
}

DType check_truncated(const at::Tensor& self, double mean, double std, double a, double b) {
  check_std(std);
  TORCH_CHECK(a <= b, "trunc_normal_ expects a <= b, but found a=", a, " and b=", b);
  TORCH_CHECK(std::isfinite(mean) && std::isfinite(std),
              "trunc_normal_ expects a finite mean and std, but found mean=", mean, " and std=", std);
  TORCH_CHECK_NOT_IMPLEMENTED(!self.is_complex(), "\"trunc_normal_\" not implemented for '",
                              toString(self.scalar_type()), "'");
  return random_dtype(self, "normal_kernel_cpu");
}

}  // namespace

void check_std(double std) { TORCH_CHECK(std >= 0.0, "normal expects std >= 0.0, but found std ", std); }

DType random_dtype(const at::Tensor& self, const char* name) {
  switch (c10::toRealValueType(self.scalar_type())) {
    case at::kFloat:
      return DType::F32;
    case at::kDouble:
      return DType::F64;
    case at::kBFloat16:
      return DType::BF16;
    case at::kHalf:
      if (self.is_complex()) break;  // ComplexHalf: torch has no random fill for it either
      return DType::F16;
    case at::kFloat8_e4m3fn:
      return DType::E4M3FN;
    case at::kFloat8_e5m2:
      return DType::E5M2;
    case at::kFloat8_e4m3fnuz:
      return DType::E4M3FNUZ;
    case at::kFloat8_e5m2fnuz:
      return DType::E5M2FNUZ;
    default:
      break;
  }
  TORCH_CHECK_NOT_IMPLEMENTED(false, '"', name, "\" not implemented for '", toString(self.scalar_type()), "'");
}

DType check_law(const at::Tensor& self, const Law& law) {
  switch (law.kind) {
    case LawKind::Uniform:
      return check_uniform(self, law.p[0], law.p[1]);
    case LawKind::TruncNormal:
      return check_truncated(self, law.p[0], law.p[1], law.p[2], law.p[3]);
    default:
      check_std(law.p[1]);
      return random_dtype(self, "normal_kernel_cpu");
  }
}

Distribution plan_law(const at::Tensor& self, const Law& law, DType dtype) {
  switch (law.kind) {
    case LawKind::Uniform:
      return plan_uniform(law.p[0], law.p[1], dtype);
    case LawKind::TruncNormal:
      return plan_truncated_normal(law.p[0], law.p[1], law.p[2], law.p[3], dtype);
    default:
      // As torch does: the real and the imaginary part share the variance, and both have the mean.
      return plan_normal(law.p[0], self.is_complex() ? law.p[1] / std::sqrt(2.0) : law.p[1], dtype);
  }
}

}  // namespace fastinit
