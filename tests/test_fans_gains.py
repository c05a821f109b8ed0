"""Fans against what convolutions really sum, gains against quadrature, and the rules built on both."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import fastinit
from fastinit import Key, fans

SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple)


# Fans

CONVOLUTIONS: dict[tuple[int, bool], Callable[..., Tensor]] = {
    (1, False): F.conv1d,
    (2, False): F.conv2d,
    (3, False): F.conv3d,
    (1, True): F.conv_transpose1d,
    (2, True): F.conv_transpose2d,
    (3, True): F.conv_transpose3d,
}


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kernel", [(3,), (3, 2), (2, 3, 2)], ids=str)
@pytest.mark.parametrize(("channels", "groups"), [((4, 6), 1), ((4, 6), 2), ((6, 6), 6), ((6, 12), 3)])
def test_fans_count_the_terms_a_convolution_sums(
    channels: tuple[int, int], groups: int, kernel: tuple[int, ...], transposed: bool
) -> None:
    """All-ones data turn a convolution into a counter: forwards it shows fan-in, and its gradient fan-out."""
    inputs, outputs = channels
    shape = (inputs, outputs // groups, *kernel) if transposed else (outputs, inputs // groups, *kernel)
    x = torch.ones(1, inputs, *(8 for _ in kernel), requires_grad=True)
    y = CONVOLUTIONS[len(kernel), transposed](x, torch.ones(shape), groups=groups)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert fans(shape, groups=groups, transposed=transposed) == (y.max().item(), gradient.max().item())


@given(shape=SHAPES)
def test_fans_with_defaults_are_torchs(shape: tuple[int, ...]) -> None:
    tensor = torch.empty(shape)
    expected = torch.nn.init._calculate_fan_in_and_fan_out(tensor)
    assert fans(tensor) == fans(shape) == fastinit._calculate_fan_in_and_fan_out(tensor) == expected


@given(shape=SHAPES, data=st.data())
def test_axes_may_be_given_in_any_place(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    moved = tuple(shape[axis] for axis in order)
    assert fans(moved, out_axis=order.index(0), in_axis=order.index(1) - len(shape)) == fans(shape)


@pytest.mark.parametrize(
    ("shape", "arguments", "expected"),
    [
        ((8, 16, 32), {"in_axis": 1, "out_axis": 2, "batch_axis": 0}, (16, 32)),
        ((8, 32, 16), {"in_axis": 2, "out_axis": 1, "batch_axis": (0,)}, (16, 32)),
        ((4, 16, 2, 8), {"in_axis": 1, "out_axis": (2, 3), "batch_axis": 0}, (16, 16)),
        ((3, 4, 5, 6), {"in_axis": (0, 1), "out_axis": (-1, -2)}, (12, 30)),
        ((5, 7), {"batch_axis": ()}, (7, 5)),
        ((0, 7, 3), {}, (21, 0)),
    ],
)
def test_stacked_and_joint_axes(shape: tuple[int, ...], arguments: dict[str, Any], expected: tuple[int, int]) -> None:
    assert fans(shape, **arguments) == expected


def test_fans_of_a_stack_are_those_of_one_layer() -> None:
    assert fans((10, 6, 4, 3, 3), out_axis=1, in_axis=2, batch_axis=0) == fans((6, 4, 3, 3))


def test_fans_are_taken_from_tensors_arrays_shards_and_shapes() -> None:
    expected = (15, 20)
    part = torch.empty(1, 3, 5)
    for weight in (torch.empty(4, 3, 5), np.empty((4, 3, 5)), fastinit.shard(part, (4, 3, 5), (2, 0, 0)), [4, 3, 5]):
        assert fans(weight) == expected
    assert fans(torch.empty(4, 3, 5)).fan_in == 15
    assert fans(torch.empty(4, 3, 5)).fan_out == 20


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((5,), {}, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"),
        ((), {}, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"),
        ((4, 4), {"in_axis": 2}, "axis 2 is out of range for 2 dimensions"),
        ((4, 4), {"batch_axis": -3}, "axis -3 is out of range for 2 dimensions"),
        ((4, 4), {"in_axis": 0}, "an axis is named twice in in_axis=0, out_axis=0, batch_axis=()"),
        ((4, 4), {"batch_axis": -1}, "an axis is named twice in in_axis=1, out_axis=0, batch_axis=-1"),
        ((4, 4), {"groups": 3}, "groups must divide the output units, but got 3 for 4"),
        ((4, 6), {"groups": 3, "transposed": True}, "groups must divide the input units, but got 3 for 4"),
        ((4, 4), {"groups": 0}, "groups must be at least 1, but got 0"),
    ],
)
def test_fans_refuse_what_has_no_meaning(shape: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        fans(shape, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "FAN_IN", "Fan_Out"])
def test_the_correct_fan_is_torchs(mode: Any) -> None:
    tensor = torch.empty(3, 4, 5)
    assert fastinit._calculate_correct_fan(tensor, mode) == torch.nn.init._calculate_correct_fan(tensor, mode)


# Gains

TORCH_NAMES: list[Any] = [
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "selu",
]


@pytest.mark.parametrize("name", TORCH_NAMES)
@pytest.mark.parametrize("param", [None, 0, 0.2, -3, 1e4])
def test_torchs_names_have_torchs_gains(name: Any, param: Any) -> None:
    ours, theirs = fastinit.calculate_gain(name, param), torch.nn.init.calculate_gain(name, param)
    assert ours == theirs
    assert type(ours) is type(theirs)


@pytest.mark.parametrize("param", [True, False, "0.1", [0.1], torch.tensor(0.1)])
def test_a_slope_that_is_no_number_is_refused_as_torch_does(param: Any) -> None:
    with pytest.raises(ValueError, match="negative_slope") as theirs:
        torch.nn.init.calculate_gain("leaky_relu", param)
    with pytest.raises(ValueError, match="negative_slope") as ours:
        fastinit.calculate_gain("leaky_relu", param)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("name", ["nonsense", "", "ReLU", "relu ", None, 3, ["relu"]])
def test_unknown_activations_are_refused_as_torch_does(name: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported nonlinearity") as theirs:
        torch.nn.init.calculate_gain(name)
    with pytest.raises(ValueError, match="Unsupported nonlinearity") as ours:
        fastinit.calculate_gain(name)
    assert str(ours.value) == str(theirs.value)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "celu": F.celu,
    "elu": F.elu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "relu6": F.relu6,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "swish": F.silu,
    # torch's own name whose value is a second moment, as a check of the method
    "relu": F.relu,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_other_gains_keep_the_second_moment(name: str) -> None:
    """The oracle is torch's own activation under scipy's quadrature, in pieces that end at the functions' kinks."""

    def integrand(z: float) -> float:
        return ACTIVATIONS[name](torch.tensor(z, dtype=torch.float64)).item() ** 2 * float(scipy.stats.norm._pdf(z))

    pieces = [-30.0, -10.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 10.0, 30.0]
    moment = sum(
        scipy.integrate.quad(integrand, low, high, epsabs=1e-14, epsrel=1e-12)[0]
        for low, high in itertools.pairwise(pieces)
    )
    # F.softplus is the identity above its threshold 20, where it is so to 2e-9; the weight there is 5e-89.
    assert fastinit.calculate_gain(name) == pytest.approx(1 / math.sqrt(moment), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "relu"])
def test_gains_beyond_torchs_are_names_that_torch_refuses(name: Any) -> None:
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        torch.nn.init.calculate_gain(name)


def test_kaimings_slope_concerns_leaky_relu_only() -> None:
    key = Key(0)
    with_slope = fastinit.kaiming_normal_(torch.empty(4, 4), a=0.7, nonlinearity="elu", generator=key)
    without = fastinit.kaiming_normal_(torch.empty(4, 4), nonlinearity="elu", generator=key)
    assert torch.equal(with_slope, without)


# The rules built on both

SIZE = 1000, 300
MODES: dict[str, float] = {"fan_in": 300, "fan_out": 1000, "fan_avg": 650, "fan_geo_avg": math.sqrt(300_000)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
@pytest.mark.parametrize("scale", [1.0, 2.0, 0.1])
def test_variance_scaling_has_the_variance_it_promises(mode: str, distribution: str, scale: float) -> None:
    w = torch.empty(SIZE, dtype=torch.float64)
    fastinit.variance_scaling_(w, scale, mode, distribution, generator=Key(1))
    variance = scale / MODES[mode]
    # The sample variance of n values spreads by sqrt((kurtosis - 1) / n) <= sqrt(2 / n): this is 5 of those.
    assert w.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / w.numel()))
    assert abs(w.mean().item()) < 5 * math.sqrt(variance / w.numel())
    limit = {"uniform": math.sqrt(3), "truncated_normal": 2 / scipy.stats.truncnorm.std(-2, 2), "normal": 7}
    assert w.abs().max().item() <= limit[distribution] * math.sqrt(variance)
    if distribution != "normal":  # and the bound is reached: it is not merely some bound
        assert w.abs().max().item() > 0.999 * limit[distribution] * math.sqrt(variance)


def test_the_truncation_correction_is_the_standard_deviation_of_the_cut_normal() -> None:
    w = fastinit.variance_scaling_(torch.empty(1, 1, dtype=torch.float64), generator=Key(1))
    std = 1 / scipy.stats.truncnorm.std(-2, 2)
    expected = torch.empty(1, 1, dtype=torch.float64)
    fastinit.trunc_normal_(expected, 0.0, std, -2 * std, 2 * std, generator=Key(1))
    assert w.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        (fastinit.lecun_uniform_, {"distribution": "uniform"}),
        (fastinit.lecun_normal_, {"distribution": "truncated_normal"}),
        (fastinit.kaiming_normal_, {"scale": 2.0, "distribution": "normal"}),
        (fastinit.kaiming_uniform_, {"scale": 2.0, "distribution": "uniform"}),
        (fastinit.xavier_normal_, {"mode": "fan_avg", "distribution": "normal"}),
        (fastinit.xavier_uniform_, {"mode": "fan_avg", "distribution": "uniform"}),
    ],
)
def test_the_named_rules_are_members_of_the_family(named: Callable[..., Tensor], arguments: dict[str, Any]) -> None:
    shape = (30, 20, 3)
    a = named(torch.empty(shape, dtype=torch.float64), generator=Key(2))
    b = fastinit.variance_scaling_(torch.empty(shape, dtype=torch.float64), **arguments, generator=Key(2))
    torch.testing.assert_close(a, b, rtol=1e-14, atol=0)


def test_variance_scaling_passes_the_layout_on_to_fans() -> None:
    layout: dict[str, Any] = {"in_axis": 2, "out_axis": 1, "batch_axis": 0, "groups": 2, "transposed": True}
    w = torch.empty(3, 6, 5, dtype=torch.float64)
    fastinit.variance_scaling_(w, 1.0, "fan_in", "normal", Key(0), **layout)
    expected = torch.empty(3, 6, 5, dtype=torch.float64)
    fastinit.normal_(expected, 0.0, math.sqrt(1 / fans(w, **layout).fan_in), Key(0))
    assert torch.equal(w, expected)
    assert fans(w, **layout).fan_in != fans(w).fan_in


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "fan"}, "Mode fan not supported, please use one of ['fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg']"),
        (
            {"distribution": "gaussian"},
            "Distribution gaussian not supported, please use one of ['truncated_normal', 'normal', 'uniform']",
        ),
        ({"scale": -1.0}, "scale must not be negative, but got -1.0"),
        ({"scale": math.nan}, "scale must not be negative, but got nan"),
        ({"groups": 3}, "groups must divide the output units, but got 3 for 4"),
    ],
)
def test_variance_scaling_refuses_what_has_no_meaning(arguments: dict[str, Any], message: str) -> None:
    w = torch.full((4, 4), 7.0)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        fastinit.variance_scaling_(w, **arguments, generator=generator)
    assert str(caught.value) == message
    assert torch.equal(w, torch.full((4, 4), 7.0))
    assert torch.equal(generator.get_state(), state)


def test_scale_zero_writes_zeros() -> None:
    for distribution in ("truncated_normal", "normal", "uniform"):
        w = fastinit.variance_scaling_(torch.ones(4, 4), 0.0, distribution=distribution)
        assert torch.equal(w, torch.zeros(4, 4))


# Truncated normals with bounds in standard deviations


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (1.0, 3.0), (-math.inf, 0.5), (4.0, math.inf)])
def test_tf_bounds_are_in_standard_deviations_around_the_mean(a: float, b: float) -> None:
    mean, std = 10.0, 0.5
    w = fastinit.trunc_normal_tf_(torch.empty(100_000, dtype=torch.float64), mean, std, a, b, Key(3))
    z = (w - mean) / std
    assert z.min() >= a - 1e-12
    assert z.max() <= b + 1e-12
    assert scipy.stats.kstest(z.numpy(), scipy.stats.truncnorm(a, b).cdf).pvalue > 1e-4


def test_tf_with_mean_0_and_std_1_is_trunc_normal() -> None:
    a = fastinit.trunc_normal_tf_(torch.empty(100), 0.0, 1.0, -1.0, 2.5, Key(3))
    b = fastinit.trunc_normal_(torch.empty(100), 0.0, 1.0, -1.0, 2.5, Key(3))
    assert torch.equal(a, b)


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (1.0, 2.0), (-math.inf, math.inf)])
def test_tf_with_std_0_writes_the_mean(a: float, b: float) -> None:
    assert torch.equal(fastinit.trunc_normal_tf_(torch.empty(5), 3.0, 0.0, a, b), torch.full((5,), 3.0))
