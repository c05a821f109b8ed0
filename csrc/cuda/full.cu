#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Full<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Full<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_flat(const FlatFills&, Full<double> Distribution::Wide::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Full<double> Distribution::Wide::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
