#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Uniform<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Uniform<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_flat(const FlatFills&, Uniform<double> Distribution::Wide::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Uniform<double> Distribution::Wide::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
