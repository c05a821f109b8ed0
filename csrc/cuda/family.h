// The kernels of one distribution, each compiled in a file of its own; fill.cpp chooses among them.
#pragma once

#include "fill.h"

namespace fastinit::cuda {

using FlatFills = std::vector<const FlatFill*>;

// Fills of one distribution and type; `parameters` is the distribution's member of its union.
template <class Union, class D>
void fill_flat(const FlatFills&, D Union::* parameters, const Captured&, cudaStream_t);
template <class Union, class D>
void fill_tiled(const Fill&, D Union::* parameters, const Captured&, cudaStream_t);

void repeat_flat(const std::vector<FlatPattern>&, cudaStream_t);
void repeat_tiled(const PatternFill&, cudaStream_t);

}  // namespace fastinit::cuda
