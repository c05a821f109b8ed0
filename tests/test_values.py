"""What is written: the parameters of each rule, the fixed patterns, sparse matrices."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fastinit
from fastinit import Key
from initializers import RANDOM_TYPES, sentinel

# Values that follow from torch's formulas

FAN_RULES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "xavier_uniform_": lambda m, t, g: m.xavier_uniform_(t, generator=g),
    "xavier_uniform_ gain": lambda m, t, g: m.xavier_uniform_(t, gain=5 / 3, generator=g),
    "xavier_normal_": lambda m, t, g: m.xavier_normal_(t, gain=0.3, generator=g),
    "kaiming_uniform_": lambda m, t, g: m.kaiming_uniform_(t, generator=g),
    "kaiming_uniform_ linear": lambda m, t, g: m.kaiming_uniform_(t, math.sqrt(5), generator=g),
    "kaiming_uniform_ fan_out": lambda m, t, g: m.kaiming_uniform_(t, 0.3, "FAN_OUT", generator=g),
    "kaiming_normal_": lambda m, t, g: m.kaiming_normal_(t, generator=g),
    "kaiming_normal_ relu": lambda m, t, g: m.kaiming_normal_(t, 0, "fan_out", "relu", g),
    "kaiming_normal_ selu": lambda m, t, g: m.kaiming_normal_(t, nonlinearity="selu", generator=g),
}


@pytest.mark.parametrize("rule", FAN_RULES)
@pytest.mark.parametrize("shape", [(2, 2), (7, 3), (64, 3, 7, 7), (13, 5, 3)], ids=str)
def test_fan_rules_have_torchs_parameters_to_the_last_bit(
    rule: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch would have drawn from is intercepted, and the fill with it must be the same."""
    expected = torch.empty(shape, dtype=torch.float64)
    monkeypatch.setattr(
        Tensor, "uniform_", lambda self, a, b, generator: fastinit.uniform_(self, a, b, Key(3)), raising=True
    )
    monkeypatch.setattr(Tensor, "normal_", lambda self, m, s, generator: fastinit.normal_(self, m, s, Key(3)))
    FAN_RULES[rule](torch.nn.init, expected, None)
    assert torch.equal(FAN_RULES[rule](fastinit, torch.empty(shape, dtype=torch.float64), Key(3)), expected)


@pytest.mark.parametrize(
    "number", [float, int, np.float32, np.float64, np.int64, torch.tensor], ids=lambda kind: kind.__name__
)
def test_parameters_may_be_numbers_of_any_kind(number: Any) -> None:
    expected = fastinit.uniform_(torch.empty(5), 2.0, 3.0, Key(1))
    assert torch.equal(fastinit.uniform_(torch.empty(5), number(2), number(3), Key(1)), expected)
    assert torch.equal(fastinit.constant_(torch.empty(5), number(2)), torch.full((5,), 2.0))


def test_defaults_have_the_documented_distributions() -> None:
    uniform = fastinit.uniform_(torch.empty(100_000), generator=Key(1))
    assert 0.0 <= uniform.min() < 1e-3 < 1 - 1e-3 < uniform.max() < 1.0
    normal = fastinit.normal_(torch.empty(100_000), generator=Key(1))
    assert abs(normal.mean()) < 0.02 > abs(normal.std() - 1)
    truncated = fastinit.trunc_normal_(torch.empty(100_000), generator=Key(1))
    assert -2.0 <= truncated.min() < -1.99
    assert 1.99 < truncated.max() <= 2.0


def test_one_sided_bounds_and_bounds_without_the_mean_are_right_and_silent() -> None:
    for a, b in [(5.0, 1e5), (3.0, math.inf), (-math.inf, -3.0), (9.0, 9.5), (-math.inf, math.inf)]:
        w = fastinit.trunc_normal_(torch.empty(1000), a=a, b=b)
        assert w.isfinite().all()
        assert a <= w.min()
        assert w.max() <= b


# Fills without randomness: torch's own results, in every type

EVERY_TYPE = [
    *RANDOM_TYPES,
    torch.complex64,
    torch.complex128,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.bool,
    torch.complex32,
]


EXPERIMENTAL = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(torch.uint8)


@EXPERIMENTAL
@pytest.mark.parametrize("dtype", EVERY_TYPE, ids=str)
def test_constants_are_torchs_in_every_type(dtype: torch.dtype) -> None:
    for value in (0, 1, 0.3, True, -0.0 if dtype.is_signed else 0.0):
        expected = torch.nn.init.constant_(torch.empty(3, 5, dtype=dtype), value)
        assert torch.equal(bits(fastinit.constant_(torch.empty(3, 5, dtype=dtype), value)), bits(expected))
    for name in ("zeros_", "ones_"):
        expected = getattr(torch.nn.init, name)(torch.empty(3, 5, dtype=dtype))
        assert torch.equal(bits(getattr(fastinit, name)(torch.empty(3, 5, dtype=dtype))), bits(expected))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e-40, 2**24 + 1, torch.tensor(2.5), 3 + 4j])
def test_constants_are_what_torch_makes_of_the_value(value: Any) -> None:
    dtype = torch.complex64 if isinstance(value, complex) else torch.float32
    ours = fastinit.constant_(torch.empty(3, dtype=dtype), value)
    theirs = torch.nn.init.constant_(torch.empty(3, dtype=dtype), value)
    assert torch.equal(bits(ours), bits(theirs))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (torch.int8, 300),
        (torch.uint8, 1e9),
        (torch.float16, 1e9),
        (torch.float32, 1j),
        (torch.int64, math.nan),
        (torch.float32, torch.ones(2)),
        (torch.float32, torch.ones(2, 1)),
        (torch.float32, []),
        (torch.float32, "a"),
        (torch.float32, None),
    ],
    ids=str,
)
def test_constants_a_type_cannot_hold_are_refused_as_torch_does(dtype: torch.dtype, value: Any) -> None:
    def outcome(module: Any) -> Any:
        tensor = torch.ones(3, dtype=dtype)
        try:
            module.constant_(tensor, value)
        except (RuntimeError, TypeError) as error:
            assert torch.equal(tensor, torch.ones_like(tensor))
            return type(error)
        return bits(tensor).tolist()

    assert outcome(fastinit) == outcome(torch.nn.init)


@EXPERIMENTAL
@pytest.mark.parametrize("dtype", EVERY_TYPE, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3), (40, 40)], ids=str)
def test_eye_is_torchs_in_every_type(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    expected = torch.eye(*shape).to(dtype)
    assert torch.equal(bits(fastinit.eye_(torch.empty(shape, dtype=dtype))), bits(expected))
    assert torch.equal(bits(fastinit.eye_(torch.empty(shape[::-1], dtype=dtype).T)), bits(expected))


@EXPERIMENTAL
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 2, 4), (6, 2, 3, 3), (12, 7, 2, 5), (6, 6, 3, 1, 2)], ids=str)
def test_dirac_is_torchs(shape: tuple[int, ...], groups: int) -> None:
    expected = torch.nn.init.dirac_(torch.empty(shape), groups)
    for dtype in EVERY_TYPE:
        assert torch.equal(bits(fastinit.dirac_(sentinel(*shape).to(dtype), groups)), bits(expected.to(dtype)))
    strided = torch.empty(shape[::-1]).permute(tuple(range(len(shape)))[::-1])
    assert torch.equal(fastinit.dirac_(strided, groups), expected)


# sparse_


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.25, 0.5, 0.999, 1.0, 1.5])
@pytest.mark.parametrize("shape", [(10, 6), (1, 4), (37, 20)], ids=str)
def test_sparse_zeroes_the_same_number_of_rows_in_each_column(sparsity: float, shape: tuple[int, int]) -> None:
    w = fastinit.sparse_(torch.empty(shape), sparsity, generator=Key(1))
    assert ((w == 0).sum(dim=0) == min(shape[0], math.ceil(sparsity * shape[0]))).all()


def test_sparse_chooses_rows_evenly_and_column_by_column() -> None:
    w = fastinit.sparse_(torch.empty(20, 20_000), 0.25, generator=Key(1))
    zeros = w == 0
    share = zeros.double().mean(dim=1)
    assert (share - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 20_000)
    # Rows of one column are chosen without replacement: any two are both zero in 5/20 * 4/19 of the columns.
    together = (zeros[0] & zeros[13]).double().mean().item()
    assert abs(together - 5 / 20 * 4 / 19) < 5 * math.sqrt(5 / 20 * 4 / 19 / 20_000)
    assert not torch.equal(zeros[:, :-1], zeros[:, 1:])


def test_sparse_keeps_the_standard_deviation_of_the_rest() -> None:
    w = fastinit.sparse_(torch.empty(100, 1000), 0.4, std=0.5, generator=Key(1))
    rest = w[w != 0]
    assert rest.std().item() == pytest.approx(0.5, rel=5 / math.sqrt(2 * rest.numel()))


def test_sparse_takes_its_zeros_from_the_generator_too() -> None:
    def zeros(seed: int) -> Tensor:
        torch.manual_seed(seed)  # of no influence
        return fastinit.sparse_(torch.empty(50, 20), 0.5, generator=torch.Generator().manual_seed(3)) == 0

    assert torch.equal(zeros(1), zeros(2))


# Shapes on which torch divides by zero


@pytest.mark.parametrize("function", [fastinit.xavier_uniform_, fastinit.xavier_normal_])
@pytest.mark.parametrize("shape", [(0, 0), (3, 2, 0), (0, 0, 3)], ids=str)
def test_xavier_takes_weights_without_any_fan(function: Any, shape: tuple[int, ...]) -> None:
    tensor = torch.empty(shape)
    assert function(tensor) is tensor
