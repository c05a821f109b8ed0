// Drives the kernels without torch.
//
//     program engines           the ways of filling that run here (instruction sets, or forms of launch), one a line
//     program hashes <engine>   fills each case and prints the hash of the memory
//     program check <engine>    fills each case and compares all of the memory with the scalar reference
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cases.h"
#include "engine.h"

namespace fastinit::test {
namespace {

void print_engines() {
  for (const std::string& name : engines()) std::printf("%s\n", name.c_str());
}

bool equal(const Case& c) {
  const Buffer got = c.run(false), want = c.run(true);
  const size_t size = want.bytes().size();
  size_t different = 0, first = size;
  for (size_t i = 0; i < size; ++i) {
    if (got.bytes()[i] == want.bytes()[i]) continue;
    if (different++ == 0) first = i;
  }
  if (different == 0) return true;
  std::printf("%s: %zu bytes of %zu differ, the first at byte %td: 0x%02x, not 0x%02x\n", c.name.c_str(), different,
              size, static_cast<std::ptrdiff_t>(first) - static_cast<std::ptrdiff_t>(want.start()), got.bytes()[first],
              want.bytes()[first]);
  return false;
}

void print_hashes() {
  for (const Case& c : all_cases()) std::printf("%016" PRIx64 "  %s\n", c.run(false).hash(), c.name.c_str());
}

bool check() {
  size_t cases = 0, failed = 0;
  for (const Case& c : all_cases()) {
    ++cases;
    failed += !equal(c);
  }
  std::printf("%zu of %zu cases differ\n", failed, cases);
  return failed == 0;
}

}  // namespace
}  // namespace fastinit::test

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  try {
    if (mode == "engines" && argc == 2) {
      fastinit::test::print_engines();
      return 0;
    }
    if (mode == "hashes" && argc == 3) {
      fastinit::test::choose_engine(argv[2]);
      fastinit::test::print_hashes();
      return 0;
    }
    if (mode == "check" && argc == 3) {
      fastinit::test::choose_engine(argv[2]);
      return fastinit::test::check() ? 0 : 1;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  std::fprintf(stderr, "usage: %s engines | hashes <engine> | check <engine>\n", argv[0]);
  return 2;
}
