"""The compiled extension (csrc/bindings.cpp). Importing it registers ``torch.ops.fastinit``."""

from collections.abc import Sequence
from typing import TypedDict

from torch import Generator, Tensor

class Facts(TypedDict):
    stream_version: int
    compiler: str
    torch_version: str
    isa_compiled: list[str]
    isa_supported: list[str]
    isa: str
    openmp_team: int
    huge_pages: bool
    cuda: str | None  # "13.0 for sm_80, sm_90, PTX 9.0"
    built: str  # the line that the build printed: with which CUDA, or why without

stream_version: int
torch_version: str  # that of the headers the extension was built with

# The ops by position, for less overhead than torch.ops has: same schemas, same dispatcher.
# key is [seed, block offset], both signed; global_shape and global_offset come together or not at all.
def uniform_(
    self: Tensor,
    a: float,
    b: float,
    generator: Generator | None = None,
    key: Sequence[int] | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def normal_(
    self: Tensor,
    mean: float,
    std: float,
    generator: Generator | None = None,
    key: Sequence[int] | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def trunc_normal_(
    self: Tensor,
    mean: float,
    std: float,
    a: float,
    b: float,
    generator: Generator | None = None,
    key: Sequence[int] | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def sparse_(
    self: Tensor,
    sparsity: float,
    std: float,
    generator: Generator | None = None,
    key: Sequence[int] | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def orthogonal_(
    self: Tensor,
    gain: float,
    batch_dims: int,
    split_sizes: Sequence[int] | None,
    special: bool,
    generator: Generator | None = None,
    key: Sequence[int] | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def constant_(self: Tensor, value: complex, /) -> None: ...
def eye_(
    self: Tensor, global_shape: Sequence[int] | None = None, global_offset: Sequence[int] | None = None, /
) -> None: ...
def dirac_(
    self: Tensor, groups: int, global_shape: Sequence[int] | None = None, global_offset: Sequence[int] | None = None, /
) -> None: ...

# One law and four parameters for all tensors or for each; with `first`, one key, into which they fold their positions.
def fill_many_(
    self: Sequence[Tensor],
    laws: Sequence[int],
    parameters: Sequence[float],
    generator: Generator | None = None,
    keys: Sequence[int] | None = None,
    first: int | None = None,
    global_shape: Sequence[int] | None = None,
    global_offset: Sequence[int] | None = None,
    /,
) -> None: ...
def fold_in(seed: int, data: int, domain: int, /) -> int: ...
def fold_in_each(seed: int, data: Sequence[int], domain: int, offset: int, /) -> list[int]: ...  # as fill_many_ wants
def facts() -> Facts: ...

# For tests: an instruction set by name (None gives the choice back), and the words of a stream as they are.
def force_isa(name: str | None, /) -> None: ...
def words(seed: int, offset: int, domain: int, first: int, count: int, /) -> list[int]: ...
