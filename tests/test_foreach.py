"""Many tensors in one call: what a loop of calls writes and draws, whatever the tensors are."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import fastinit
from fastinit import Key, foreach, shard
from fastinit.many import fill_many
from initializers import RANDOM_TYPES, sentinel

INFINITY = math.inf
# A function of both modules, with arguments that one tensor and many take alike.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform_", {"a": -0.1, "b": 0.3}),
    "normal": ("normal_", {"mean": 0.1, "std": 0.5}),
    "trunc_normal narrow": ("trunc_normal_", {"a": 1.0, "b": 1.1}),
    "trunc_normal central": ("trunc_normal_", {"a": -2.0, "b": 1.5}),
    "trunc_normal tail": ("trunc_normal_", {"a": 8.0, "b": INFINITY}),
    "trunc_normal full": ("trunc_normal_", {"a": -3.0, "b": 4.0}),
    "trunc_normal out of reach": ("trunc_normal_", {"std": 0.02, "a": -2.0, "b": 2.0}),
    "trunc_normal_tf": ("trunc_normal_tf_", {"mean": 1.0, "std": 0.5}),
    "xavier_uniform": ("xavier_uniform_", {"gain": 2.0}),
    "xavier_normal": ("xavier_normal_", {}),
    "kaiming_uniform": ("kaiming_uniform_", {"a": 0.2}),
    "kaiming_normal": ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
    "lecun_uniform": ("lecun_uniform_", {}),
    "lecun_normal": ("lecun_normal_", {}),
    "variance_scaling": ("variance_scaling_", {"scale": 2.0, "mode": "fan_avg", "distribution": "normal"}),
}
TRUNCATED = {call for call in CALLS if call.startswith("trunc")} | {"lecun_normal"}
GRID = [(call, dtype) for call in CALLS for dtype in RANDOM_TYPES]
GRID += [(call, dtype) for call in CALLS if call not in TRUNCATED for dtype in (torch.complex64, torch.complex128)]
EVERY_CALL = pytest.mark.parametrize("call", CALLS)


def weights(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Two or more dimensions each, of sizes and layouts that reach every way of filling."""
    return [
        torch.empty(3, 5, dtype=dtype),
        torch.empty(1, 1, dtype=dtype),
        torch.empty(300, 217, dtype=dtype),
        torch.empty(41, 67, dtype=dtype).t(),
        torch.empty(50, 64, dtype=dtype)[:, 3:40],
        torch.empty(4, 6, 5, 7, dtype=dtype).to(memory_format=torch.channels_last),
        torch.empty(257, 3, dtype=dtype)[1:],
        torch.empty(0, 4, dtype=dtype),
    ]


def one_by_one(call: str, tensors: list[Any], sources: list[Any]) -> list[Any]:
    name, arguments = CALLS[call]
    return [getattr(fastinit, name)(t, **arguments, generator=g) for t, g in zip(tensors, sources, strict=True)]


def at_once(call: str, tensors: Any, generator: Any) -> Any:
    name, arguments = CALLS[call]
    return getattr(foreach, name)(tensors, **arguments, generator=generator)


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(bits(a), bits(b)) for a, b in zip(ours, theirs, strict=True))


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


@pytest.fixture(autouse=True)
def no_warnings_of_empty_tensors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        yield


# The same as a loop of calls


@pytest.mark.parametrize(("call", "dtype"), GRID, ids=str)
def test_values_and_the_generators_state_are_those_of_separate_calls(call: str, dtype: torch.dtype) -> None:
    tensors, expected = weights(dtype), weights(dtype)
    ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
    assert at_once(call, tensors, ours) is tensors
    assert same(tensors, one_by_one(call, expected, [theirs] * len(expected)))
    assert torch.equal(ours.get_state(), theirs.get_state())


@EVERY_CALL
def test_the_default_generator_is_drawn_from_as_by_separate_calls(call: str) -> None:
    torch.manual_seed(3)
    tensors = at_once(call, weights(), None)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert same(tensors, one_by_one(call, weights(), [None] * len(tensors)))
    assert torch.equal(torch.get_rng_state(), after)


@EVERY_CALL
def test_a_key_is_folded_with_each_position(call: str) -> None:
    tensors = weights()
    keys = [Key(7, 11).fold_in(i) for i in range(len(tensors))]
    assert same(at_once(call, tensors, Key(7, 11)), one_by_one(call, weights(), keys))
    assert same(at_once(call, weights(), keys), tensors)
    assert same(at_once(call, weights(), tuple(keys)), tensors)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads: int) -> None:
    expected = at_once("normal", [torch.empty(n) for n in (1, 100_000, 7, 4096, 65_536, 3) * 5], Key(1))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert same(at_once("normal", [torch.empty_like(t) for t in expected], Key(1)), expected)
    finally:
        torch.set_num_threads(before)


@given(sizes=st.lists(st.integers(0, 9000), max_size=12), seed=st.integers(0, 2**64 - 1))
def test_any_sizes_equal_separate_calls(sizes: list[int], seed: int) -> None:
    tensors = foreach.normal_([torch.empty(n) for n in sizes], generator=Key(seed))
    for i, tensor in enumerate(tensors):
        assert torch.equal(tensor, fastinit.normal_(torch.empty(sizes[i]), generator=Key(seed).fold_in(i)))


def test_thousands_of_small_tensors() -> None:
    tensors = [torch.empty(i % 50) for i in range(5000)]
    foreach.uniform_(tensors, generator=Key(2))
    for i in (0, 1, 49, 50, 2503, 4999):
        assert torch.equal(tensors[i], fastinit.uniform_(torch.empty(i % 50), generator=Key(2).fold_in(i)))


def test_no_tensors_are_no_work() -> None:
    state = torch.get_rng_state()
    tensors: list[Tensor] = []
    assert foreach.normal_(tensors) is tensors
    assert foreach.kaiming_uniform_(tensors) is tensors
    assert foreach.zeros_(tensors) is tensors
    assert torch.equal(torch.get_rng_state(), state)


# Parameters of each tensor


def test_a_parameter_may_be_one_for_each() -> None:
    tensors = [torch.empty(100), torch.empty(200), torch.empty(300)]
    stds = [0.1, 1.0, 10.0]
    foreach.normal_(tensors, mean=2.0, std=stds, generator=Key(4))
    for i, std in enumerate(stds):
        assert torch.equal(tensors[i], fastinit.normal_(torch.empty(100 * i + 100), 2.0, std, Key(4).fold_in(i)))
    gains = (1.0, 2.0)
    pair = foreach.xavier_normal_([torch.empty(4, 5), torch.empty(4, 5)], gain=gains, generator=Key(4))
    for i, gain in enumerate(gains):
        assert torch.equal(pair[i], fastinit.xavier_normal_(torch.empty(4, 5), gain, Key(4).fold_in(i)))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: foreach.normal_(t, std=[1.0]),
        lambda t: foreach.normal_(t, std=[1.0, 2.0, 3.0]),
        lambda t: foreach.xavier_normal_(t, gain=[1.0]),
        lambda t: foreach.constant_(t, [1.0]),
        lambda t: foreach.normal_(t, generator=[Key(1)]),
    ],
)
def test_a_sequence_of_another_length_is_refused(call: Callable[[Any], object]) -> None:
    tensors = [sentinel(3, 3), sentinel(2, 2)]
    with pytest.raises(ValueError, match="2 tensors"):
        call(tensors)
    assert all((t == 7.0).all() for t in tensors)


def test_what_is_no_source_is_refused() -> None:
    for source in (3, "key", [1, 2], [Key(1), 2]):
        with pytest.raises(TypeError, match="generator must be"):
            foreach.normal_([torch.empty(2), torch.empty(2)], generator=source)  # type: ignore[arg-type]


# Constants


@pytest.mark.parametrize("value", [-1, 2**53 + 1, -0.5, 10**400])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.uint64, torch.float32, torch.bfloat16], ids=str)
def test_a_constant_is_taken_or_refused_as_for_one_tensor(dtype: torch.dtype, value: float) -> None:
    ours, theirs = torch.zeros(3, dtype=dtype), torch.zeros(3, dtype=dtype)
    try:
        fastinit.constant_(theirs, value)
    except (RuntimeError, OverflowError) as error:
        with pytest.raises(type(error)):
            foreach.constant_([ours], value)
    else:
        foreach.constant_([ours], value)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8, torch.int64, torch.bool, torch.complex64])
def test_constants_of_every_type_and_layout(dtype: torch.dtype) -> None:
    tensors = weights(dtype)
    assert foreach.constant_(tensors, 3) is tensors
    assert all((t == torch.tensor(3).to(dtype)).all() for t in tensors)
    assert all((t == 0).all() for t in foreach.zeros_(tensors))
    assert all((t == 1).all() for t in foreach.ones_(tensors))


def test_a_constant_for_each() -> None:
    values: list[Any] = [0.5, torch.tensor(2.5)]
    tensors = foreach.constant_([torch.empty(2), torch.empty(1)], values)
    assert [t.tolist() for t in tensors] == [[0.5, 0.5], [2.5]]


def test_constants_that_no_float64_holds() -> None:
    great = 2**53 + 1
    integers, complex_numbers = torch.empty(2, dtype=torch.int64), torch.empty(2, dtype=torch.complex64)
    foreach.constant_([integers, complex_numbers], [great, 1 + 2j])  # type: ignore[list-item]
    assert integers.tolist() == [great, great]
    assert complex_numbers.tolist() == [1 + 2j, 1 + 2j]


# Whatever can be filled


def test_shards_arrays_parameters_and_meta_tensors_go_together() -> None:
    whole = fastinit.kaiming_normal_(torch.empty(6, 4), generator=Key(9).fold_in(0))
    part, array = torch.empty(6, 2), np.empty((3, 5), dtype=np.float32)
    parameter, nowhere = torch.nn.Parameter(torch.empty(8, 8)), torch.empty(4, 4, device="meta")
    targets = [shard(part, (6, 4), (0, 2)), array, parameter, nowhere, torch.empty(2, 2)]
    assert foreach.kaiming_normal_(targets, generator=Key(9)) is targets
    assert torch.equal(part, whole[:, 2:])
    for i, shape in ((1, (3, 5)), (2, (8, 8)), (4, (2, 2))):
        expected = fastinit.kaiming_normal_(torch.empty(shape), generator=Key(9).fold_in(i))
        assert torch.equal(torch.as_tensor(targets[i]).detach(), expected)
    assert parameter.grad_fn is None


def test_an_empty_shard_draws_as_its_whole_does() -> None:
    ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
    rest = torch.empty(4)
    foreach.normal_([shard(torch.empty(0, 3), (5, 3), (5, 0)), rest], generator=ours)
    fastinit.normal_(torch.empty(5, 3), generator=theirs)
    assert torch.equal(rest, fastinit.normal_(torch.empty(4), generator=theirs))
    assert torch.equal(ours.get_state(), theirs.get_state())


def test_of_tensors_that_share_memory_the_last_one_counts() -> None:
    base, expected = torch.empty(100_000), torch.empty(100_000)
    views = [base, base[10:90_000], base[::2], base[50_000:]]
    foreach.normal_(views, generator=Key(3))
    for i, view in enumerate((expected, expected[10:90_000], expected[::2], expected[50_000:])):
        fastinit.normal_(view, generator=Key(3).fold_in(i))
    assert torch.equal(base, expected)
    tied = torch.empty(64)
    foreach.constant_([tied, tied], [1.0, 2.0])
    assert (tied == 2.0).all()


# Refused calls

REFUSED: dict[str, tuple[Callable[[list[Any], Any], object], type[Exception]]] = {
    "std < 0": (lambda t, g: foreach.normal_(t, std=[1.0, 1.0, -1.0], generator=g), RuntimeError),
    "a > b": (lambda t, g: foreach.uniform_(t, 1.0, 0.0, generator=g), RuntimeError),
    "an integer type": (
        lambda t, g: foreach.normal_([*t, torch.zeros(3, dtype=torch.int32)], generator=g),
        RuntimeError,
    ),
    "one dimension": (lambda t, g: foreach.xavier_normal_([*t, torch.zeros(3)], generator=g), ValueError),
    "an unknown mode": (lambda t, g: foreach.kaiming_normal_(t, mode="fan", generator=g), ValueError),
    "shared elements": (lambda t, g: foreach.normal_([*t, torch.zeros(1).expand(3)], generator=g), RuntimeError),
    "a value out of range": (
        lambda t, g: foreach.constant_([*t, torch.zeros(2, dtype=torch.uint8)], 1e9),
        RuntimeError,
    ),
    "64 dimensions": (lambda t, g: foreach.normal_([*t, torch.zeros([1] * 64)], generator=g), RuntimeError),
    "no tensor": (lambda t, g: foreach.normal_([*t, "x"], generator=g), TypeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_changes_no_tensor_and_draws_nothing(name: str) -> None:
    call, error = REFUSED[name]
    tensors = [sentinel(4, 4), sentinel(3, 3), sentinel(2, 2)]
    versions = [t._version for t in tensors]
    generator = torch.Generator().manual_seed(1)
    states = generator.get_state(), torch.get_rng_state()
    with pytest.raises(error):
        call(tensors, generator)
    assert all((t == 7.0).all() for t in tensors)
    assert [t._version for t in tensors] == versions
    assert torch.equal(generator.get_state(), states[0])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_an_inference_tensor_is_refused_outside_the_mode() -> None:
    with torch.inference_mode():
        inference = torch.full((3,), 7.0)
        foreach.normal_([torch.empty(2), torch.empty(2)])
    ordinary = sentinel(3)
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        foreach.normal_([ordinary, inference])
    assert (ordinary == 7.0).all()


# torch's machinery


def test_versions_move_and_no_history_is_left() -> None:
    leaf, plain = torch.empty(3, requires_grad=True), torch.empty(3)
    before = leaf._version, plain._version
    foreach.normal_([leaf, plain])
    assert (leaf._version, plain._version) == (before[0] + 1, before[1] + 1)
    assert leaf.is_leaf
    assert leaf.grad_fn is None


def test_compiled_whole() -> None:
    key = Key(5)

    def build(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        foreach.kaiming_uniform_([a, b], generator=key)
        foreach.constant_([b[0]], 0.5)
        return a + 1.0, b

    ours = torch.compile(build, fullgraph=True, backend="aot_eager")(torch.empty(4, 5), torch.empty(3, 2))
    assert same(list(ours), list(build(torch.empty(4, 5), torch.empty(3, 2))))


def test_fake_tensors_are_filled_in_name_only() -> None:
    state = torch.get_rng_state()
    with FakeTensorMode():
        tensors = [torch.empty(3, 4), torch.empty(5, 6)]
        assert foreach.normal_(tensors) is tensors
    assert torch.equal(torch.get_rng_state(), state)


# torch's own (2.14): opcheck looks at the gradients of what it has made of the list.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(requires_grad: bool) -> None:
    tensors = [torch.zeros(4, 3, requires_grad=requires_grad), torch.zeros(5, requires_grad=requires_grad)]
    op = torch.ops.fastinit.fill_many_.default
    torch.library.opcheck(op, (tensors, [1, 0], [0.0, 1.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0]), {"keys": [1, 2, 3, 4]})
    assert torch.Tag.nondeterministic_seeded in op.tags


def test_a_mode_that_watches_functions_sees_one_call() -> None:
    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return function(*args, **(kwargs or {}))

    seen: list[Any] = []
    tensors = [torch.empty(3), torch.empty(3)]
    with Watch():
        assert foreach.normal_(tensors, generator=Key(1)) is tensors
    assert seen[0] is foreach.normal_
    assert torch.equal(tensors[0], fastinit.normal_(torch.empty(3), generator=Key(1).fold_in(0)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_fills_them_after_its_parent_has_used_threads() -> None:
    expected = foreach.normal_([torch.empty(200_000), torch.empty(100_000)], generator=Key(1))
    child = os.fork()
    if child == 0:
        again = foreach.normal_([torch.empty(200_000), torch.empty(100_000)], generator=Key(1))
        # Not by torch's own comparison: that would wait for threads that the child does not have.
        equal = all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(again, expected, strict=True))
        os._exit(0 if equal else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The surface


@pytest.mark.parametrize("name", foreach.__all__)
def test_arguments_are_those_of_the_function_for_one_tensor(name: str) -> None:
    one = inspect.signature(getattr(fastinit, name)).parameters
    many = inspect.signature(getattr(foreach, name)).parameters
    assert list(many) == ["tensors" if key == "tensor" else key for key in one]
    assert [p.default for p in many.values()] == [p.default for p in one.values()]
    assert [p.kind for p in many.values()] == [p.kind for p in one.values()]


def test_empty_tensors_are_warned_of_where_the_call_stands() -> None:
    warnings.filterwarnings("error", "Initializing zero-element tensors")
    with pytest.warns(UserWarning, match="zero-element") as caught:
        foreach.kaiming_normal_([torch.empty(0, 3), torch.empty(2, 2)])
    assert caught[0].filename == __file__


def test_laws_are_one_or_as_many_as_the_targets() -> None:
    law = (fastinit.dispatch.NORMAL, (0.0, 1.0))
    with pytest.raises(ValueError, match="one law or 3"):
        fill_many([torch.empty(2)] * 3, [law, law], None)


def under_bits() -> list[Tensor]:
    """Views that are conjugated, negated, both, or neither, with memory around and between them that is not theirs."""
    memory = torch.full((4, 12, 40), 7.0, dtype=torch.complex64)
    return [
        memory[0, 1:9, 3:30].conj(),
        memory[1, 1:9, 3:30].conj().imag,  # negated
        memory[2, 1:9, 3:30],
        memory[3, 1:9, 3:30].conj().t(),
        torch._neg_view(memory[3, 9:, 3:]).conj(),
    ]


@pytest.mark.parametrize("call", ["normal", "uniform", "kaiming_normal"])
def test_views_with_a_bit_read_as_they_were_filled(call: str) -> None:
    views, ones = under_bits(), under_bits()
    assert [t.is_conj() for t in views] == [True, False, False, True, True]
    assert [t.is_neg() for t in views] == [False, True, False, False, True]
    versions = [t._version for t in views]
    torch.manual_seed(3)
    assert at_once(call, views, None) is views
    torch.manual_seed(3)
    one_by_one(call, ones, [None] * len(ones))
    for view, one, version in zip(views, ones, versions, strict=True):
        assert torch.equal(view.resolve_conj().resolve_neg(), one.resolve_conj().resolve_neg())
        assert view._version > version
    assert torch.equal(views[0]._base, ones[0]._base)  # type: ignore[arg-type] # all of the memory around them, too


@pytest.mark.parametrize("bit", [torch.conj, torch._neg_view])
def test_of_views_with_and_without_a_bit_that_overlap_the_last_one_counts(bit: Callable[[Tensor], Tensor]) -> None:
    def overlapping() -> list[Tensor]:
        memory = torch.zeros(12, 40, dtype=torch.complex64)
        return [bit(memory), memory[:8], bit(memory[4:]), bit(memory[4:]), memory[:, 5:9], torch.empty(3, 3)]

    views, ones = overlapping(), overlapping()
    keys = Key(5)
    at_once("normal", views, keys)
    one_by_one("normal", ones, [keys.fold_in(i) for i in range(len(ones))])
    assert torch.equal(views[1]._base, ones[1]._base)  # type: ignore[arg-type] # a view has a base
    assert torch.equal(views[-1], ones[-1])


@pytest.mark.parametrize("second", [False, True])
def test_a_refused_list_of_views_with_a_bit_is_left_alone(second: bool) -> None:
    memory = torch.full((6, 6), 7 + 3j)
    wide = memory[:1].expand(6, 6)  # rows that are one
    views = [memory.conj(), wide] if second else [wide.conj(), memory]
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="single memory location"):
        foreach.normal_(views)
    assert torch.equal(memory, torch.full((6, 6), 7 + 3j))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError, match="normal expects std"):
        foreach.normal_([memory.conj(), torch.empty(3)], std=-1.0)
    assert torch.equal(memory, torch.full((6, 6), 7 + 3j))


def test_constants_under_a_bit_are_what_is_read() -> None:
    memory = torch.zeros(2, 5, dtype=torch.complex64)
    foreach.ones_([memory[0].conj(), memory[1].conj().imag])
    assert torch.equal(memory, torch.tensor([[1.0 + 0j] * 5, [-1j] * 5]))
