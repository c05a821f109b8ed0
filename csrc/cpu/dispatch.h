// Which instruction set runs: the best one that was compiled and that this processor has, unless told otherwise.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace fastinit {

// The table in force. FASTINIT_ISA=<name> chooses at first use.
const Kernels& kernels();

// All that were compiled, and whether this processor can run one.
std::vector<const Kernels*> compiled_kernels();
bool supported(const Kernels&);

// Forces one by name, or goes back to the best with an empty name; a test hook, not for use while fills run.
// Throws std::invalid_argument for a name that was not compiled or cannot run.
void force_kernels(const std::string& name);

}  // namespace fastinit
