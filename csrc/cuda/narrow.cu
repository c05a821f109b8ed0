#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Narrow<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Narrow<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_flat(const FlatFills&, Narrow<double> Distribution::Wide::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Narrow<double> Distribution::Wide::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
