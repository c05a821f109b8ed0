"""Arrays of other libraries are filled in place, in their own memory."""

from typing import Any

import numpy as np
import pytest
import torch

import fastinit
from fastinit import Key
from initializers import ALL, Initializer


class Exporter:
    """An array of some other library: nothing but DLPack."""

    def __init__(self, array: Any, device: int = 1) -> None:
        self.array = array
        self.device = device

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


class LegacyExporter(Exporter):
    """One from before DLPack 1.0, which knows no keyword but stream."""

    def __dlpack__(self, stream: Any = None) -> Any:  # type: ignore[override]
        return self.array.__dlpack__()


@pytest.mark.parametrize("initializer", ALL, ids=str)
@pytest.mark.parametrize("wrap", [lambda array: array, Exporter, LegacyExporter], ids=["numpy", "dlpack", "legacy"])
def test_an_array_gets_the_values_a_tensor_would(initializer: Initializer, wrap: Any) -> None:
    array = np.full(initializer.shape, 7.0, np.float32)
    target = wrap(array)
    assert initializer(target, Key(5)) is target
    assert torch.equal(torch.from_numpy(array), initializer(torch.empty(initializer.shape), Key(5)))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_an_array_advances_a_generator_as_a_tensor_does(initializer: Initializer) -> None:
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    targets: list[Any] = [torch.empty(initializer.shape), np.empty(initializer.shape, np.float32)]
    for target, generator in zip(targets, generators, strict=True):
        initializer(target, generator)
    assert torch.equal(targets[0], torch.from_numpy(targets[1]))
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


@pytest.mark.parametrize(
    "view",
    [lambda x: x.T, lambda x: x[::2, 1:], lambda x: x[:, ::3], np.asfortranarray],
    ids=["transposed", "rows", "columns", "fortran"],
)
def test_strided_views_are_filled_through_and_nothing_else_is_touched(view: Any) -> None:
    base = np.full((8, 9), 7.0)
    array = view(base)
    inside = np.zeros((8, 9), bool)
    view(inside)[...] = True
    fastinit.normal_(array, generator=Key(1))
    expected = fastinit.normal_(torch.empty(array.shape, dtype=torch.float64), generator=Key(1))
    assert np.array_equal(array, expected.numpy())
    if np.shares_memory(array, base):
        assert np.all(base[~inside] == 7.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.complex64, np.complex128])
def test_numpys_floating_types_are_torchs(dtype: Any) -> None:
    array = np.zeros((5, 4), dtype)
    fastinit.normal_(array, generator=Key(1))
    expected = fastinit.normal_(torch.empty(5, 4, dtype=torch.from_numpy(array).dtype), generator=Key(1))
    assert np.array_equal(array, expected.numpy())


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_numpys_other_types_take_constants(dtype: Any) -> None:
    assert np.array_equal(fastinit.ones_(np.zeros((3, 2), dtype)), np.ones((3, 2), dtype))


def test_a_shard_of_an_array_is_its_slice() -> None:
    whole = fastinit.kaiming_uniform_(np.empty((6, 4), np.float32), generator=Key(2))
    part = np.empty((2, 3), np.float32)
    fastinit.kaiming_uniform_(fastinit.shard(part, (6, 4), (3, 1)), generator=Key(2))
    assert np.array_equal(part, whole[3:5, 1:4])


def test_an_exporter_need_not_have_a_shape() -> None:
    array = np.zeros((5, 4), np.float32)
    fastinit.xavier_uniform_(Exporter(array), generator=Key(0))
    assert torch.equal(torch.from_numpy(array), fastinit.xavier_uniform_(torch.empty(5, 4), generator=Key(0)))


def test_memory_mapped_arrays_are_filled(tmp_path: Any) -> None:
    path = tmp_path / "weights"
    mapped = np.memmap(path, np.float32, "w+", shape=(16, 4))
    fastinit.normal_(mapped, generator=Key(0))
    mapped.flush()
    assert np.array_equal(np.fromfile(path, np.float32).reshape(16, 4), mapped)


# What must not, or cannot, be written is refused before anything is drawn


def refused(target: Any, error: type[Exception], message: str) -> None:
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    with pytest.raises(error, match=message):
        fastinit.normal_(target, generator=generator)
    assert torch.equal(generator.get_state(), state)


def test_read_only_arrays_are_refused() -> None:
    array = np.full((4, 4), 7.0, np.float32)
    array.flags.writeable = False
    refused(array, ValueError, "assignment destination is read-only")
    refused(np.broadcast_to(np.float32(7.0), (4, 4)), ValueError, "assignment destination is read-only")
    assert np.all(array == 7.0)


def test_read_only_exports_are_refused() -> None:
    array = np.full((4, 4), 7.0, np.float32)
    array.flags.writeable = False
    refused(Exporter(array), ValueError, "assignment destination is read-only")
    assert np.all(array == 7.0)


@pytest.mark.parametrize("library", ["jaxlib._jax", "jax", "tensorflow.python.framework.ops"])
def test_arrays_that_are_immutable_by_contract_are_refused(library: str) -> None:
    array = np.full((4, 4), 7.0, np.float32)
    immutable = type("ArrayImpl", (Exporter,), {"__module__": library})
    refused(immutable(array), ValueError, "immutable")
    assert np.all(array == 7.0)


def test_arrays_on_a_device_are_refused() -> None:
    refused(Exporter(np.zeros((4, 4), np.float32), device=2), TypeError, "Exporter is not in CPU memory")


def test_negative_strides_are_refused_in_place_of_filling_a_copy() -> None:
    refused(np.zeros((4, 4), np.float32)[::-1], ValueError, "negative strides cannot be filled in place")


def test_a_foreign_byte_order_is_refused() -> None:
    refused(np.zeros((4, 4), np.dtype(np.float32).newbyteorder()), ValueError, "byte order")


def test_integers_cannot_be_filled_at_random() -> None:
    refused(np.zeros((4, 4), np.int32), NotImplementedError, "Int")


@pytest.mark.parametrize("target", [[1.0, 2.0], 3.0, None, "w", (torch.empty(2),), {}])
def test_what_is_no_array_is_refused(target: Any) -> None:
    refused(target, TypeError, r"expected a torch\.Tensor, a fastinit\.Shard, a NumPy array")
