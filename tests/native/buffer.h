// Memory that a fill is let loose on: the bytes around it, and those between the elements of a strided view, hold a
// known pattern and are hashed and compared with the rest, so a write that strays shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastinit::test {

class Buffer {
 public:
  // `skew` bytes past a boundary of 16, so that vector loads and stores are not aligned by accident.
  Buffer(int64_t size, int64_t skew) : start_(kGuard + static_cast<size_t>(skew)) {
    bytes_.resize(start_ + static_cast<size_t>(size) + kGuard);
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<unsigned char>(0xA5u ^ 31u * i);
  }

  unsigned char* data() { return bytes_.data() + start_; }
  size_t start() const { return start_; }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

  // FNV-1a.
  uint64_t hash() const {
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char b : bytes_) h = (h ^ b) * 0x100000001b3u;
    return h;
  }

 private:
  static constexpr size_t kGuard = 64;
  size_t start_;
  std::vector<unsigned char> bytes_;
};

}  // namespace fastinit::test
