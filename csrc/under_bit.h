// Operators on views that are conjugated or negated by a bit, not in memory. torch's own fallback expects an operator to
// return what it writes to, and reads past the end of its stack where there is no result. Here the memory is filled as the
// view without its bit, and then conjugated (negated): what a reader of the view sees is what was asked for.
#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_conj.h>
#include <ATen/ops/_neg_view.h>
#include <ATen/ops/conj_physical.h>
#include <ATen/ops/copy.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/neg.h>

#include <unordered_map>
#include <vector>

namespace fastinit {

struct ConjugateBit {
  static bool in(const at::Tensor& t) { return t.is_conj(); }
  static at::Tensor without(const at::Tensor& t) { return at::_conj(t); }
  static void apply(const at::Tensor& memory) { memory.conj_physical_(); }
};

struct NegativeBit {
  static bool in(const at::Tensor& t) { return t.is_neg(); }
  static at::Tensor without(const at::Tensor& t) { return at::_neg_view(t); }
  static void apply(const at::Tensor& memory) { memory.neg_(); }
};

template <class Bit, class Op>
struct UnderBit;

template <class Bit, class... Args>
struct UnderBit<Bit, void(const at::Tensor&, Args...)> {
  template <const char* Name>
  static void call(const at::Tensor& self, Args... args) {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(Name, "").template typed<void(const at::Tensor&, Args...)>();
    const at::Tensor memory = Bit::without(self);
    op.call(memory, args...);
    Bit::apply(memory);
  }
};

// Which tensors of a list share a storage with another one, if either has the bit.
template <class Bit>
std::vector<bool> sharing_under_bit(at::TensorList list) {
  struct Users {
    int count = 0;
    bool bit = false;
  };
  const auto storage_of = [](const at::Tensor& t) {
    return t.has_storage() ? t.storage().unsafeGetStorageImpl() : nullptr;
  };
  std::unordered_map<const void*, Users> users;
  for (const at::Tensor& t : list) {
    Users& u = users[storage_of(t)];
    ++u.count;
    u.bit = u.bit || Bit::in(t);
  }
  std::vector<bool> sharing;
  sharing.reserve(list.size());
  for (const at::Tensor& t : list) {
    const Users& u = users[storage_of(t)];
    sharing.push_back(u.count > 1 && u.bit);
  }
  return sharing;
}

// A list may hold some tensors with the bit and some without.
template <class Bit, class... Args>
struct UnderBit<Bit, void(at::TensorList, Args...)> {
  template <const char* Name>
  static void call(at::TensorList self, Args... args) {
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow(Name, "").template typed<void(at::TensorList, Args...)>();
    // Where one lies over another the last one counts, so that what is conjugated after all are filled may be no longer
    // what was filled for it. Those are made elsewhere, and copied in order.
    const std::vector<bool> elsewhere = sharing_under_bit<Bit>(self);
    std::vector<at::Tensor> memory;
    memory.reserve(self.size());
    for (size_t i = 0; i < self.size(); ++i) {
      const at::Tensor& t = self[i];
      if (elsewhere[i]) at::assert_no_internal_overlap(t);  // of which the copy has none
      memory.push_back(elsewhere[i] ? at::empty_like(t) : Bit::in(t) ? Bit::without(t) : t);
    }
    op.call(memory, args...);
    for (size_t i = 0; i < self.size(); ++i) {
      if (elsewhere[i]) {
        self[i].copy_(memory[i]);
      } else if (Bit::in(self[i])) {
        Bit::apply(memory[i]);
      }
    }
  }
};

}  // namespace fastinit
