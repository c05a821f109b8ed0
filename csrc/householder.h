// Gaussian matrices to orthogonal ones in blocks of Householder reflectors, by matrix products: docs/stream.md, 4.9.
#pragma once

#include <ATen/core/Tensor.h>

namespace fastinit {

// Overwrites the Gaussian matrices `a`, [batch, m, n] with m >= n, whose rows or columns are contiguous, with matrices
// of orthonormal columns times `gain`, uniform over all of those; with `special` (m = n) over those of determinant 1.
// Any device; nothing is read back to the host. Takes scratch of about 600 rows and 400 columns of a.
void orthogonalize_(const at::Tensor& a, double gain, bool special);

}  // namespace fastinit
