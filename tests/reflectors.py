"""docs/stream.md, section 4.9, a second time: the orthogonal matrix of a Gaussian one, by NumPy, without blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]


def orthogonal(gaussian: Matrix, special: bool = False) -> Matrix:
    """Q of a Gaussian matrix of any shape, in float64 or complex128."""
    if gaussian.shape[0] < gaussian.shape[1]:
        return orthogonal(gaussian.T, special).T
    m, n = gaussian.shape
    x = gaussian.astype(np.complex128 if np.iscomplexobj(gaussian) else np.float64)
    phases = x.diagonal() / abs(x.diagonal())
    d = -phases
    if special:
        d[-1] *= phases.prod().conj()
    q: Matrix = np.eye(m, n) * d
    for k in reversed(range(n)):
        v = x[k:, k].copy()
        v[0] += phases[k] * np.linalg.norm(v)
        q[k:] -= np.outer(v * (2 / np.vdot(v, v).real), v.conj() @ q[k:])
    return q
