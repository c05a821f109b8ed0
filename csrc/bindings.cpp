// The Python module: the operators as plain functions (torch.ops takes longer than a small fill), what was built, and
// hooks for tests.
#include <ATen/core/dispatch/Dispatcher.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/version.h>

#include "cpu/dispatch.h"
#include "cpu/pages.h"
#include "ops.h"
#include "parallel.h"

namespace py = pybind11;

namespace fastinit {
namespace {

using List = std::optional<std::vector<int64_t>>;

template <class Op>
auto find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Op>();
}

Ints ints(const List& list) { return list ? Ints(at::IntArrayRef(*list)) : Ints(); }

// torch has no pybind11 conversion of a Scalar; these are the kinds that Tensor.fill_ takes.
at::Scalar scalar(const py::object& value) {
  PyObject* const p = value.ptr();
  if (PyBool_Check(p)) return p == Py_True;
  if (PyFloat_Check(p)) return PyFloat_AS_DOUBLE(p);
  if (PyLong_Check(p)) {
    int overflow = 0;
    const long long n = PyLong_AsLongLongAndOverflow(p, &overflow);
    return overflow == 0 ? at::Scalar(static_cast<int64_t>(n)) : at::Scalar(py::cast<uint64_t>(value));
  }
  if (PyComplex_Check(p)) return py::cast<c10::complex<double>>(value);
  if (py::hasattr(value, "item")) return scalar(value.attr("item")());  // a tensor or a NumPy scalar
  return py::cast<double>(value);
}

py::dict facts() {
  py::list compiled, runnable;
  for (const Kernels* k : compiled_kernels()) {
    compiled.append(k->name);
    if (supported(*k)) runnable.append(k->name);
  }
  py::dict d;
  d["stream_version"] = kStreamVersion;
  d["torch_version"] = TORCH_VERSION;
#if defined(__VERSION__)
  d["compiler"] = __VERSION__;
#else
  d["compiler"] = "unknown";
#endif
  d["isa_compiled"] = compiled;
  d["isa_supported"] = runnable;
  d["isa"] = kernels().name;
  d["openmp_team"] = openmp_team();
  d["huge_pages"] = huge_pages_wanted();
#if defined(FASTINIT_CUDA)
  d["cuda"] = FASTINIT_CUDA;
#else
  d["cuda"] = py::none();
#endif
  d["built"] = FASTINIT_BUILT;
  return d;
}

std::vector<uint32_t> words(uint64_t seed, uint64_t offset, uint32_t domain, int64_t first, int64_t count) {
  std::vector<uint32_t> out(static_cast<size_t>(count));
  kernels().words({seed, offset}, static_cast<Domain>(domain), first, count, out.data());
  return out;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.attr("stream_version") = kStreamVersion;
  m.attr("torch_version") = TORCH_VERSION;  // the one it was built against
  m.doc() = "The compiled part of fastinit; see fastinit.init for the functions to call.";

  static const auto uniform = find<UniformOp>("fastinit::uniform_");
  static const auto normal = find<NormalOp>("fastinit::normal_");
  static const auto trunc_normal = find<TruncNormalOp>("fastinit::trunc_normal_");
  static const auto sparse = find<SparseOp>("fastinit::sparse_");
  static const auto orthogonal = find<OrthogonalOp>("fastinit::orthogonal_");
  static const auto constant = find<ConstantOp>("fastinit::constant_");
  static const auto eye = find<EyeOp>("fastinit::eye_");
  static const auto dirac = find<DiracOp>("fastinit::dirac_");
  static const auto fill_many = find<FillManyOp>("fastinit::fill_many_");
  const auto none = py::none();
  const auto release = py::call_guard<py::gil_scoped_release>();

  m.def(
      "uniform_",
      [](const at::Tensor& t, double a, double b, const Generator& g, const List& key, const List& shape,
         const List& offset) { uniform.call(t, a, b, g, ints(key), ints(shape), ints(offset)); },
      py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("key") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "normal_",
      [](const at::Tensor& t, double mean, double std, const Generator& g, const List& key, const List& shape,
         const List& offset) { normal.call(t, mean, std, g, ints(key), ints(shape), ints(offset)); },
      py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("key") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "trunc_normal_",
      [](const at::Tensor& t, double mean, double std, double a, double b, const Generator& g, const List& key,
         const List& shape,
         const List& offset) { trunc_normal.call(t, mean, std, a, b, g, ints(key), ints(shape), ints(offset)); },
      py::arg(), py::arg(), py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("key") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "sparse_",
      [](const at::Tensor& t, double sparsity, double std, const Generator& g, const List& key, const List& shape,
         const List& offset) { sparse.call(t, sparsity, std, g, ints(key), ints(shape), ints(offset)); },
      py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("key") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "orthogonal_",
      [](const at::Tensor& t, double gain, int64_t batch_dims, const List& split_sizes, bool special,
         const Generator& g, const List& key, const List& shape, const List& offset) {
        orthogonal.call(t, gain, batch_dims, ints(split_sizes), special, g, ints(key), ints(shape), ints(offset));
      },
      py::arg(), py::arg(), py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("key") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def("constant_", [](const at::Tensor& t, const py::object& value) {
    const at::Scalar s = scalar(value);
    const py::gil_scoped_release released;
    constant.call(t, s);
  });
  m.def(
      "eye_",
      [](const at::Tensor& t, const List& shape, const List& offset) { eye.call(t, ints(shape), ints(offset)); },
      py::arg(), py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "dirac_",
      [](const at::Tensor& t, int64_t groups, const List& shape, const List& offset) {
        dirac.call(t, groups, ints(shape), ints(offset));
      },
      py::arg(), py::arg(), py::arg("global_shape") = none, py::arg("global_offset") = none, release);
  m.def(
      "fill_many_",
      [](const std::vector<at::Tensor>& tensors, const std::vector<int64_t>& laws,
         const std::vector<double>& parameters, const Generator& g, const List& keys,
         const std::optional<int64_t>& first, const List& shape, const List& offset) {
        fill_many.call(tensors, laws, parameters, g, ints(keys), first, ints(shape), ints(offset));
      },
      py::arg(), py::arg(), py::arg(), py::arg("generator") = none, py::arg("keys") = none, py::arg("first") = none,
      py::arg("global_shape") = none, py::arg("global_offset") = none, release);

  m.def("fold_in",
        [](uint64_t seed, uint64_t data, uint32_t domain) { return fold_in(seed, data, static_cast<Domain>(domain)); });
  m.def("fold_in_each", [](uint64_t seed, const std::vector<uint64_t>& data, uint32_t domain, int64_t offset) {
    std::vector<int64_t> words;
    words.reserve(2 * data.size());
    for (uint64_t word : data) {
      words.push_back(static_cast<int64_t>(fold_in(seed, word, static_cast<Domain>(domain))));
      words.push_back(offset);
    }
    return words;
  });
  m.def("facts", &facts);
  m.def("force_isa", [](const std::optional<std::string>& name) { force_kernels(name.value_or("")); });
  m.def("words", &words, "Words [first, first + count) of a stream; for tests.");

  kernels();  // a wrong FASTINIT_ISA is an error of the import, not of the first fill
}

}  // namespace fastinit
