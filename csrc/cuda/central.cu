#include "family_kernels.h"

namespace fastinit::cuda {

template void fill_flat(const FlatFills&, Central<float> Distribution::Single::*, const Captured&, cudaStream_t);
template void fill_tiled(const Fill&, Central<float> Distribution::Single::*, const Captured&, cudaStream_t);

}  // namespace fastinit::cuda
