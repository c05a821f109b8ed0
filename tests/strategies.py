"""What hypothesis draws for the tests."""

from __future__ import annotations

from hypothesis import strategies as st

from layouts import Layout


@st.composite
def layouts(draw: st.DrawFn, dimensions: int | None = None) -> Layout:
    """One in which no two elements share memory: any order, gaps, and start."""
    n = draw(st.integers(0, 5)) if dimensions is None else dimensions
    shape = [draw(st.integers(0, (400, 400, 60, 15, 7, 5)[n])) for _ in range(n)]
    stride = [0] * n
    free = draw(st.integers(1, 3))
    for axis in draw(st.permutations(range(n))):
        if shape[axis] == 1:
            stride[axis] = draw(st.integers(0, 1000))  # leads nowhere
        else:
            stride[axis] = free
            free = free * max(shape[axis], 1) + draw(st.integers(0, 3))
    return Layout(tuple(shape), tuple(stride), draw(st.integers(0, 17)))
