// Many tensors, each with a law of its own: what the operator fill_many_ hands to a device.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "laws.h"
#include "layout.h"

namespace fastinit {

// Descriptions are two kilobytes each, most of it for dimensions that no tensor has; so they are made when they are
// wanted, any number of times, on any thread.
class Batch {
 public:
  // One law and four parameters for all, or for each. Throws whatever can be wrong with any of the tensors.
  Batch(at::TensorList tensors, at::IntArrayRef laws, at::ArrayRef<double> parameters, const PlacementList& places);

  size_t size() const { return tensors_.size(); }
  const at::Tensor& operator[](size_t i) const { return tensors_[i]; }

  // The tensors that a key is drawn for, in order. Then their keys, one for each of these; then all can be described.
  const std::vector<size_t>& drawing() const { return drawing_; }
  void take(const std::vector<Key>& keys);

  // Leaves these tensors to the caller.
  void set_aside(const std::vector<size_t>& tensors);
  // Whether tensor i is not set aside, and has elements.
  bool included(size_t i) const { return !aside_[i] && tensors_[i].numel() != 0; }

  // Calls f(const Fill&) or f(const PatternFill&) with tensor i, which has elements.
  template <class F>
  void describe(size_t i, F&& f) const {
    if (constant(i)) {
      const PatternFill fill = repeated(tensors_[i], law(i).p[0]);
      f(fill);
    } else {
      Fill fill;
      describe_random(i, fill);
      f(std::as_const(fill));
    }
  }

 private:
  bool constant(size_t i) const { return law(i).kind == LawKind::Constant; }
  void describe_random(size_t i, Fill& f) const;
  const Law& law(size_t i) const { return laws_[laws_.size() == 1 ? 0 : i]; }

  at::TensorList tensors_;
  std::vector<Law> laws_;
  const PlacementList& places_;
  std::vector<size_t> drawing_;

  struct Source {
    DType dtype;
    size_t plan;
    Key key;
  };
  std::vector<Source> sources_;
  std::vector<bool> aside_;
  std::vector<Distribution> plans_;  // neighbours are often alike, and planning can take longer than filling
};

}  // namespace fastinit
