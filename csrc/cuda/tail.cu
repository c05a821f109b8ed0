#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Tail<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Tail<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_flat(const FlatFills&, Tail<double> Distribution::Wide::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Tail<double> Distribution::Wide::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
