"""The drop-in: whatever torch.nn.init promises, fastinit keeps, name by name."""

import inspect
import linecache
import subprocess
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import pytest
import torch

import fastinit
from fastinit import Key
from initializers import ALL, FIXED, RANDOM, RANDOM_TYPES, Initializer, sentinel

NAMES = torch.nn.init.__all__
HELPERS = ["_calculate_fan_in_and_fan_out", "_calculate_correct_fan"]
DEPRECATED = [name for name in NAMES if name + "_" in NAMES]


# Names and signatures


@pytest.mark.parametrize("name", NAMES + HELPERS)
def test_every_name_of_torch_is_here(name: str) -> None:
    assert getattr(fastinit, name) is getattr(fastinit.init, name)
    assert name in fastinit.__all__
    assert name in fastinit.init.__all__


# What a function takes beyond torch's signature: by keyword alone, and with a default under which it is torch's.
BEYOND = {"orthogonal_": {"batch_dims": 0}}


@pytest.mark.parametrize("name", NAMES + HELPERS)
def test_signatures_are_torchs(name: str) -> None:
    def shape(parameters: Iterable[inspect.Parameter]) -> list[tuple[str, Any, Any, Any]]:
        return [(p.name, p.kind, p.default, type(p.default)) for p in parameters]

    ours = inspect.signature(getattr(fastinit, name)).parameters
    beyond = {key: p.default for key, p in ours.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert beyond == BEYOND.get(name, {})
    theirs = inspect.signature(getattr(torch.nn.init, name)).parameters
    assert shape(p for key, p in ours.items() if key not in beyond) == shape(theirs.values())


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in fastinit.__all__:
        assert getattr(fastinit, name).__doc__, name


def test_the_version_of_the_stream_is_the_extensions() -> None:
    assert fastinit._native.facts()["stream_version"] == fastinit.STREAM_VERSION


def test_importing_fastinit_brings_no_other_package_in() -> None:
    program = (
        "import sys, torch; before = set(sys.modules); import fastinit; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout.split() == ["fastinit"]


# What every initializer does to its tensor


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_the_tensor_itself_is_filled_and_returned(initializer: Initializer) -> None:
    for tensor in (sentinel(*initializer.shape), torch.nn.Parameter(sentinel(*initializer.shape))):
        assert initializer(tensor) is tensor
        assert not torch.equal(tensor, sentinel(*initializer.shape))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_leaf_that_requires_grad_is_filled_without_history(initializer: Initializer) -> None:
    leaf = sentinel(*initializer.shape).requires_grad_()
    initializer(leaf)
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert leaf.grad_fn is None
    assert leaf.grad is None
    leaf.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(leaf.grad, torch.ones_like(leaf))  # type: ignore[arg-type]


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_result_with_history_keeps_it(initializer: Initializer) -> None:
    leaf = torch.ones(initializer.shape, requires_grad=True)
    result = leaf * 2
    history = result.grad_fn
    initializer(result)
    assert result.grad_fn is history


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_fill_moves_the_version_so_that_autograd_notices(initializer: Initializer) -> None:
    tensor = torch.ones(initializer.shape)
    version = tensor._version
    saved = torch.ones(initializer.shape, requires_grad=True) * tensor
    initializer(tensor)
    assert tensor._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        saved.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_view_and_its_base_share_the_version(initializer: Initializer) -> None:
    base = torch.ones(2, *initializer.shape)
    version = base._version
    initializer(base[1])
    assert base._version > version
    assert torch.equal(base[0], torch.ones(initializer.shape))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_view_of_a_leaf_that_requires_grad_is_filled_with_gradients_on(initializer: Initializer) -> None:
    leaf = torch.nn.Parameter(sentinel(2, *initializer.shape))
    initializer(leaf[1], Key(1))
    assert leaf.is_leaf
    assert torch.equal(leaf[1], initializer(torch.empty(initializer.shape), Key(1)))
    assert torch.equal(leaf[0], sentinel(*initializer.shape))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_data_is_filled_in_the_parameter(initializer: Initializer) -> None:
    parameter = torch.nn.Parameter(sentinel(*initializer.shape))
    initializer(parameter.data, Key(1))
    assert torch.equal(parameter, initializer(sentinel(*initializer.shape), Key(1)))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_meta_tensors_are_left_alone(initializer: Initializer) -> None:
    generator = torch.Generator().manual_seed(1)
    states = torch.get_rng_state(), generator.get_state()
    for source in (None, generator, Key(1)):
        tensor = torch.empty(initializer.shape, device="meta")
        assert initializer(tensor, source) is tensor
    assert torch.equal(torch.get_rng_state(), states[0])
    assert torch.equal(generator.get_state(), states[1])


EMPTY = [initializer for initializer in ALL if not initializer.name.startswith("kaiming")]


@pytest.mark.parametrize("initializer", EMPTY, ids=str)
def test_tensors_without_elements_are_left_alone(initializer: Initializer) -> None:
    states = torch.get_rng_state()
    for axes in ({0}, {1}, {0, 1}):
        shape = [0 if axis in axes else size for axis, size in enumerate(initializer.shape)]
        tensor = torch.empty(shape)
        assert initializer(tensor) is tensor
    assert torch.equal(torch.get_rng_state(), states)


@pytest.mark.parametrize("function", [fastinit.kaiming_uniform_, fastinit.kaiming_normal_])
@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 2, 0)], ids=str)
def test_kaiming_warns_of_a_tensor_without_elements_at_the_callers_line(function: Any, shape: tuple[int, ...]) -> None:
    tensor = torch.empty(shape)
    states = torch.get_rng_state()
    with pytest.warns(UserWarning, match="^Initializing zero-element tensors is a no-op$") as caught:
        assert function(tensor) is tensor  # this line
    (warning,) = caught
    assert warning.filename == __file__
    assert linecache.getline(__file__, warning.lineno).endswith("# this line\n")
    assert torch.equal(torch.get_rng_state(), states)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_the_layout_in_memory_changes_no_value(initializer: Initializer) -> None:
    expected = initializer(torch.empty(initializer.shape), Key(1))
    axes = tuple(range(len(initializer.shape)))
    reversed_in_memory = torch.empty(initializer.shape[::-1]).permute(axes[::-1])
    every_other = torch.empty(*initializer.shape, 2)[..., 0]
    for tensor in (reversed_in_memory, every_other):
        assert torch.equal(initializer(tensor, Key(1)), expected)


@pytest.mark.parametrize("initializer", [i for i in ALL if "trunc" not in i.name], ids=str)
def test_a_conjugate_view_reads_as_it_was_filled(initializer: Initializer) -> None:
    """Its conjugation is a bit on the tensor: what a reader sees are the values, whatever the memory holds."""
    if initializer.name in ("lecun_normal_", "variance_scaling_(fan_geo_avg)"):
        return
    expected = initializer(torch.empty(initializer.shape, dtype=torch.complex64), Key(1))
    view = torch.empty(initializer.shape, dtype=torch.complex64).conj()
    assert initializer(view, Key(1)) is view
    assert torch.equal(view.resolve_conj(), expected)


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_negated_view_reads_as_it_was_filled(initializer: Initializer) -> None:
    expected = initializer(torch.empty(initializer.shape), Key(1))
    pairs = torch.zeros(initializer.shape, dtype=torch.complex64)
    view = pairs.conj().imag
    assert view.is_neg()
    version = pairs._version
    assert initializer(view, Key(1)) is view
    assert torch.equal(view.resolve_neg(), expected)
    assert torch.equal(pairs.imag, -expected)
    assert not pairs.real.any()
    assert pairs._version > version


def test_views_with_a_bit_are_filled_within_their_memory() -> None:
    """Many times over: a write that strays ends the process only now and then."""
    for _ in range(500):
        for function in (fastinit.sparse_, fastinit.orthogonal_, fastinit.normal_):
            arguments = (0.5,) if function is fastinit.sparse_ else ()
            function(torch.empty(6, 45, dtype=torch.complex64).conj(), *arguments)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
@pytest.mark.parametrize("dtype", RANDOM_TYPES, ids=str)
def test_narrow_types_hold_the_rounded_float32_values(initializer: Initializer, dtype: torch.dtype) -> None:
    tensor = initializer(sentinel(*initializer.shape, dtype=dtype), Key(1)).to(torch.float64)
    wide = initializer(torch.empty(initializer.shape, dtype=torch.float64), Key(1))
    assert tensor.isfinite().all()
    if dtype.itemsize < 4:
        single = initializer(torch.empty(initializer.shape), Key(1))
        differing = tensor != single.to(dtype).to(torch.float64)
        # Only a bound moves a value away from plain rounding: what would round up to an open upper end, or out of a
        # closed one. At worst that is half a step below 1 in two bits of mantissa, 1/16 of [0, 1).
        if initializer.name.startswith(("uniform", "trunc", "xavier_u", "kaiming_u", "lecun", "variance")):
            assert differing.sum() <= (1 / 16 + 0.04) * differing.numel()
        else:
            assert not differing.any()
    else:
        assert tensor.shape == wide.shape


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_complex_types_are_filled_except_by_truncated_normals(initializer: Initializer) -> None:
    for dtype in (torch.complex64, torch.complex128):
        tensor = torch.full(initializer.shape, 7.0, dtype=dtype)
        truncated = "trunc" in initializer.name or "lecun_n" in initializer.name or "geo_avg" in initializer.name
        if truncated:
            with pytest.raises(NotImplementedError):
                initializer(tensor)
            assert torch.equal(tensor, torch.full_like(tensor, 7.0))
        else:
            initializer(tensor)
            assert tensor.imag.any() == initializer.random


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool], ids=str)
def test_integers_cannot_be_filled_at_random(initializer: Initializer, dtype: torch.dtype) -> None:
    tensor = torch.ones(initializer.shape, dtype=dtype)
    state = torch.get_rng_state()
    with pytest.raises(NotImplementedError):
        initializer(tensor)
    assert torch.equal(tensor, torch.ones_like(tensor))
    assert torch.equal(torch.get_rng_state(), state)


# Generators


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_manual_seed_makes_a_fill_reproducible(initializer: Initializer) -> None:
    torch.manual_seed(2**40 + 5)
    first = initializer(torch.empty(initializer.shape))
    second = initializer(torch.empty(initializer.shape))
    torch.manual_seed(2**40 + 5)
    assert torch.equal(initializer(torch.empty(initializer.shape)), first)
    assert torch.equal(initializer(torch.empty(initializer.shape)), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_generators_state_replays_a_fill(initializer: Initializer) -> None:
    generator = torch.Generator().manual_seed(1)
    initializer(torch.empty(initializer.shape), generator)
    state = generator.get_state()
    first = initializer(torch.empty(initializer.shape), generator)
    assert not torch.equal(generator.get_state(), state)
    generator.set_state(state)
    assert torch.equal(initializer(torch.empty(initializer.shape), generator), first)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_generator_of_ones_own_leaves_the_default_alone(initializer: Initializer) -> None:
    state = torch.get_rng_state()
    initializer(torch.empty(initializer.shape), torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_fill_advances_a_generator_by_the_same_amount_whatever_its_size(initializer: Initializer) -> None:
    small, large = (torch.Generator().manual_seed(1) for _ in range(2))
    initializer(torch.empty(initializer.shape), small)
    fastinit.uniform_(torch.empty(10_000), generator=large)
    assert torch.equal(small.get_state(), large.get_state())


@pytest.mark.parametrize("initializer", FIXED, ids=str)
def test_what_is_not_random_draws_nothing(initializer: Initializer) -> None:
    state = torch.get_rng_state()
    initializer(torch.empty(initializer.shape))
    assert torch.equal(torch.get_rng_state(), state)


# Deprecated names

ARGUMENTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "constant": ((4, 4), {"val": 0.5}),
    "dirac": ((4, 4, 3), {}),
    "sparse": ((4, 4), {"sparsity": 0.5}),
}


@pytest.mark.parametrize("name", DEPRECATED)
def test_deprecated_names_warn_at_the_callers_line_and_do_the_same(name: str) -> None:
    shape, arguments = ARGUMENTS.get(name, ((4, 4), {}))
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        getattr(torch.nn.init, name)(torch.empty(shape), **arguments)
    torch.manual_seed(3)
    tensor = torch.empty(shape)
    with pytest.warns(FutureWarning) as ours:
        assert getattr(fastinit, name)(tensor, **arguments) is tensor  # that line
    assert [str(warning.message) for warning in ours] == [str(warning.message) for warning in theirs]
    assert ours[0].filename == __file__
    assert linecache.getline(__file__, ours[0].lineno).endswith("# that line\n")
    torch.manual_seed(3)
    assert torch.equal(getattr(fastinit, name + "_")(torch.empty(shape), **arguments), tensor)
    assert getattr(fastinit, name).__name__ == name
