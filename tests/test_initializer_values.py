"""Initializers as values: they fill what their functions fill, and know the law of what they fill."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor, nn

import fastinit
from fastinit import Initializer, Key, Rule
from fastinit.models.initializer import KINDS

KEY = Key(5)

# The initializer, and the call that it stands for.
CALLS: list[tuple[Initializer, Callable[..., Any]]] = [
    (fastinit.Uniform(-0.1, 0.3), lambda w, **k: fastinit.uniform_(w, -0.1, 0.3, **k)),
    (fastinit.Normal(0.1, 0.02), lambda w, **k: fastinit.normal_(w, 0.1, 0.02, **k)),
    (fastinit.TruncNormal(0.1, 0.5, -1.0, 0.7), lambda w, **k: fastinit.trunc_normal_(w, 0.1, 0.5, -1.0, 0.7, **k)),
    (
        fastinit.TruncNormalTF(0.1, 0.5, -1.0, 3.0),
        lambda w, **k: fastinit.trunc_normal_tf_(w, 0.1, 0.5, -1.0, 3.0, **k),
    ),
    (fastinit.Constant(0.3), lambda w, generator: fastinit.constant_(w, 0.3)),
    (fastinit.Zeros(), lambda w, generator: fastinit.zeros_(w)),
    (fastinit.Ones(), lambda w, generator: fastinit.ones_(w)),
    (fastinit.Eye(), lambda w, generator: fastinit.eye_(w)),
    (fastinit.XavierUniform(2.0), lambda w, **k: fastinit.xavier_uniform_(w, 2.0, **k)),
    (fastinit.XavierNormal(2.0), lambda w, **k: fastinit.xavier_normal_(w, 2.0, **k)),
    (fastinit.KaimingUniform(0.2), lambda w, **k: fastinit.kaiming_uniform_(w, 0.2, **k)),
    (
        fastinit.KaimingNormal(mode="fan_out", nonlinearity="relu"),
        lambda w, **k: fastinit.kaiming_normal_(w, mode="fan_out", nonlinearity="relu", **k),
    ),
    (fastinit.LecunUniform(), fastinit.lecun_uniform_),
    (fastinit.LecunNormal(), fastinit.lecun_normal_),
    (
        fastinit.VarianceScaling(3.0, "fan_geo_avg", "uniform"),
        lambda w, **k: fastinit.variance_scaling_(w, 3.0, "fan_geo_avg", "uniform", **k),
    ),
    (fastinit.Orthogonal(1.5), lambda w, **k: fastinit.orthogonal_(w, 1.5, **k)),
    (fastinit.Sparse(0.25, 0.5), lambda w, **k: fastinit.sparse_(w, 0.25, 0.5, **k)),
]


@pytest.mark.parametrize(("init", "call"), CALLS, ids=lambda value: type(value).__name__)
def test_an_initializer_fills_as_its_function_does(init: Initializer, call: Callable[..., Any]) -> None:
    model = nn.Linear(24, 16, bias=False)
    fastinit.initialize_(model, [Rule(init)], seed=KEY)
    expected = call(torch.empty(16, 24), generator=KEY.fold_in("weight"))
    assert torch.equal(model.weight, expected)


def test_square_and_convolution_only_ones_too() -> None:
    square = nn.Linear(6, 6, bias=False)
    fastinit.initialize_(square, [Rule(fastinit.SpecialOrthogonal(2.0))], seed=KEY)
    expected = fastinit.special_orthogonal_(torch.empty(6, 6), 2.0, generator=KEY.fold_in("weight"))
    assert torch.equal(square.weight, expected)
    conv = nn.Conv2d(4, 8, 3, groups=2, bias=False)
    fastinit.initialize_(conv, [Rule(fastinit.Dirac())], seed=KEY)
    assert torch.equal(conv.weight, fastinit.dirac_(torch.empty(8, 2, 3, 3), groups=2))
    fastinit.initialize_(conv, [Rule(fastinit.DeltaOrthogonal(1.5))], seed=KEY)
    expected = fastinit.delta_orthogonal_(torch.empty(8, 2, 3, 3), 1.5, KEY.fold_in("weight"), groups=2)
    assert torch.equal(conv.weight, expected)


def test_every_kind_is_tried_above() -> None:
    tried = {type(init).__name__ for init, _ in CALLS} | {"SpecialOrthogonal", "Dirac", "DeltaOrthogonal"}
    assert {kind.__name__ for kind in KINDS.values()} == tried | {"Leave", "Custom"}


def resolved(init: Initializer, *shape: int) -> Initializer:
    model = nn.Module()
    model.weight = nn.Parameter(torch.empty(*shape, device="meta"))
    fill = fastinit.plan(model, [Rule(init)]).entries[0].fill
    assert fill is not None
    return fill


CUTS = [
    (0.0, 1.0, -2.0, 2.0),
    (0.1, 0.02, 0.06, 0.14),
    (0.0, 1.0, 3.0, math.inf),
    (0.0, 1.0, -math.inf, -8.0),
    (1.0, 2.0, -5.0, 1.5),
    (0.0, 1.0, 8.0, 8.001),
    (0.0, 1.0, -math.inf, math.inf),
    (0.0, 1.0, -30.0, 30.0),
    (0.0, 0.5, 9.0, 10.0),
]


@pytest.mark.parametrize(("mean", "std", "a", "b"), CUTS)
def test_moments_and_distribution_function_of_truncated_normals_are_scipys(
    mean: float, std: float, a: float, b: float
) -> None:
    init = fastinit.TruncNormal(mean, std, a, b)
    law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    m, s = init.moments(())
    assert m == pytest.approx(law.mean(), rel=1e-9, abs=1e-12)
    narrow = b - a < 0.01 * std  # where scipy's own cancels to three digits, and a flat density is as good as exact
    assert s == pytest.approx((b - a) / math.sqrt(12.0) if narrow else law.std(), rel=1e-5)
    x = law.ppf([0.001, 0.1, 0.5, 0.9, 0.999])
    cdf = init.cdf(torch.tensor(x, dtype=torch.float64))
    assert cdf is not None
    assert cdf.tolist() == pytest.approx([0.001, 0.1, 0.5, 0.9, 0.999], rel=1e-6)
    ends = init.cdf(torch.tensor([max(a, -1e3) - 1.0, min(b, 1e3) + 1.0], dtype=torch.float64))
    assert ends is not None
    assert ends.tolist() == pytest.approx([0.0, 1.0], abs=1e-12)


def test_far_out_nothing_is_lost() -> None:
    init = fastinit.TruncNormal(0.0, 1.0, 100.0, math.inf)  # nearly exponential of rate 100 (scipy gives up here)
    mean, std = init.moments(())
    assert mean == pytest.approx(100.0 + 0.01 - 2e-6, abs=1e-7)
    assert std == pytest.approx(0.01, rel=1e-3)
    cdf = init.cdf(torch.tensor([100.0, 100.01], dtype=torch.float64))
    assert cdf is not None
    assert cdf.tolist() == pytest.approx([0.0, 1 - math.exp(-1.0 - 0.00005)], abs=1e-4)


@pytest.mark.parametrize(
    "init",
    [init for init, _ in CALLS if type(init).__name__ not in {"Eye", "Constant", "Zeros", "Ones"}],
    ids=lambda value: type(value).__name__,
)
def test_declared_moments_are_those_of_what_is_filled(init: Initializer) -> None:
    shape = (600, 800)
    fill = resolved(init, *shape)
    moments = fill.moments(shape)
    assert moments is not None
    model = nn.Linear(800, 600, bias=False)
    fastinit.initialize_(model, [Rule(init)], seed=1)
    weight = model.weight.detach().double()
    mean, std = moments
    n = weight.numel()
    assert abs(weight.mean().item() - mean) < 5 * std / math.sqrt(n)
    assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(n))
    support = fill.support()
    if support is not None:
        assert support[0] <= weight.min() <= weight.max() <= support[1]
    cdf = fill.cdf(weight.flatten().sort().values)
    if cdf is not None:  # Kolmogorov and Smirnov at 1e-6
        assert stats.kstest(cdf.numpy(), "uniform").pvalue > 1e-6


@pytest.mark.parametrize(("init", "call"), CALLS, ids=lambda value: type(value).__name__)
def test_an_initializer_survives_a_dict_and_its_repr(init: Initializer, call: Callable[..., Any]) -> None:
    assert Initializer.from_dict(init.to_dict()) == init
    assert eval(repr(init), vars(fastinit)) == init


@given(
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(st.sampled_from(["mean", "std", "a", "b", "gain", "nothing"]), st.floats(0.0, 1.0), max_size=2),
)
def test_from_dict_takes_what_the_initializer_has_and_refuses_the_rest(name: str, arguments: dict[str, float]) -> None:
    known = set(KINDS[name].__dataclass_fields__)
    if set(arguments) <= known and name != "custom":
        init = Initializer.from_dict({name: arguments})
        assert Initializer.from_dict(init.to_dict()) == init
    else:
        with pytest.raises(ValueError, match=name):
            Initializer.from_dict({name: arguments})


@pytest.mark.parametrize(
    "data", ["norml", {"normal": 3}, {"normal": {}, "zeros": {}}, {}, 7, {"normal": {"sdt": 1}}], ids=str
)
def test_what_is_no_initializer_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"initializer|arguments|normal"):
        Initializer.from_dict(data)


def test_a_function_fits_no_file() -> None:
    with pytest.raises(TypeError, match="std is a function"):
        fastinit.Normal(std=lambda site: 1.0).to_dict()


@pytest.mark.parametrize(
    ("init", "error", "message"),
    [
        (fastinit.Normal(std=-1.0), RuntimeError, "weight: normal expects std >= 0.0, but found std -1.0"),
        (fastinit.Normal(std=math.nan), RuntimeError, "std >= 0.0"),
        (fastinit.TruncNormal(std=-1.0), RuntimeError, "std >= 0.0"),
        (fastinit.TruncNormal(a=2.0, b=1.0), RuntimeError, "a=2.0"),
        (fastinit.Uniform(1.0, 0.0), RuntimeError, "from=1.0 > to=0.0"),
        (fastinit.VarianceScaling(-1.0), ValueError, "scale must not be negative"),
        (fastinit.VarianceScaling(mode="fan"), ValueError, "Mode fan not supported"),
        (fastinit.VarianceScaling(distribution="cauchy"), ValueError, "Distribution cauchy not supported"),
        (fastinit.KaimingNormal(mode="fan_avg"), ValueError, "Mode fan_avg not supported"),
        (fastinit.KaimingNormal(nonlinearity="spline"), ValueError, "Unsupported nonlinearity spline"),
        (fastinit.Normal(std="1 / depth"), ValueError, "weight: unknown name 'depth'"),
        (fastinit.Normal(std=None), TypeError, "expected a number"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_what_no_fill_accepts_is_refused_with_the_parameters_name(
    init: Initializer, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolved(init, 3, 4)


def test_fans_of_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="weight: Fan in and fan out can not be computed"):
        resolved(fastinit.XavierNormal(), 4)


def test_an_unresolved_initializer_fills_nothing() -> None:
    tensor: Tensor = torch.full((3,), 7.0)
    with pytest.raises(NotImplementedError, match="resolved by at"):
        fastinit.Normal().fill(tensor, None)
    with pytest.raises(TypeError, match="no value before"):
        fastinit.Normal(std="fan_in").moments(())
    assert tensor.tolist() == [7.0] * 3
