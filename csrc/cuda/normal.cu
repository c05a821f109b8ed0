#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Normal<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Normal<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_flat(const FlatFills&, Normal<double> Distribution::Wide::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Normal<double> Distribution::Wide::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
