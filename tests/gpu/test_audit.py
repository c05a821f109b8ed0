"""What is read on a GPU is what the CPU reads, and models there are audited and probed as they are on the CPU."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Key, Rule, audit, initialize_, probe
from fastinit.auditing.statistics import Scale, statistics
from gpu.device import DEVICE
from laws import NORMAL, fill

pytestmark = pytest.mark.gpu

SCALE = Scale(-3.25, 19.5)
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_is_read_as_on_the_cpu(dtype: torch.dtype) -> None:
    """Counts and extremes are equal; sums agree to the rounding of float64."""
    tensor = fill(NORMAL, torch.empty(1500, 2000, dtype=dtype))
    if dtype.itemsize > 1:
        tensor[3, 5:8], tensor[4, 4] = math.nan, math.inf
    for there, here in ((tensor.to(DEVICE), tensor), (tensor.to(DEVICE).t()[::3], tensor.t()[::3])):
        found, expected = statistics(there, SCALE), statistics(here, SCALE)
        assert (found.counts, found.zeros, found.nan, found.inf) == (
            expected.counts,
            expected.zeros,
            expected.nan,
            expected.inf,
        )
        assert (found.min, found.max) == (expected.min, expected.max)
        assert found.mean == pytest.approx(expected.mean, rel=1e-12)
        assert found.std == pytest.approx(expected.std, rel=1e-12)


def test_a_model_is_audited() -> None:
    model = nn.Sequential(nn.Linear(300, 200), nn.LayerNorm(200), nn.Linear(200, 100)).to(DEVICE)
    recipe = fastinit.recipes.torch_default()
    initialize_(model, recipe, seed=0)
    assert audit(model, recipe, seed=0).ok
    with torch.no_grad():
        model.get_parameter("0.weight").mul_(1.1)
        model.get_parameter("2.weight")[7] = 0
    found = audit(model, recipe)
    assert {line.name for line in found.flagged} == {"0.weight", "2.weight"}


def test_a_model_is_probed_and_left_as_it_was() -> None:
    layers = [nn.Linear(256, 256, bias=False) for _ in range(12)]
    model = nn.Sequential(*layers, nn.Dropout(0.1)).to(DEVICE)
    initialize_(model, [Rule(fastinit.Normal(std=0.5 / 16))], seed=0)
    batch = fastinit.normal_(torch.empty(32, 256, device=DEVICE), generator=Key(1))
    before = torch.cuda.get_rng_state() if DEVICE.type == "cuda" else torch.get_rng_state()
    found = probe(model, batch)
    after = torch.cuda.get_rng_state() if DEVICE.type == "cuda" else torch.get_rng_state()
    assert torch.equal(before, after)
    assert found.activations.factor == pytest.approx(0.5, rel=0.02)
    assert found.gradients.factor == pytest.approx(0.5, rel=0.02)
    assert all(parameter.grad is None for parameter in model.parameters())
