"""The audit passes what was initialised as declared, and flags each planted fault, by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import fastinit
from fastinit import Audit, Key, Rule, audit, initialize_
from fastinit.auditing.declared import declare
from fastinit.auditing.statistics import statistics

pytestmark = pytest.mark.usefixtures("one_thread")

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
LAWS: list[fastinit.Initializer] = [
    fastinit.Normal(std=0.02),
    fastinit.Normal(0.5, 0.1),
    fastinit.Uniform(-0.1, 0.1),
    fastinit.Uniform(0.03, 0.125),
    fastinit.TruncNormal(std=0.02, a=-0.04, b=0.04),
    fastinit.TruncNormal(std=0.02),
    fastinit.TruncNormal(0.0, 1.0, 0.5, math.inf),
]


class Weights(nn.Module):
    """A parameter of each shape given."""

    def __init__(self, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        for i, shape in enumerate(shapes):
            tensor = torch.empty(shape, dtype=dtype)
            self.register_parameter(f"w{i}", nn.Parameter(tensor, requires_grad=False))

    def w(self, i: int) -> nn.Parameter:
        """The parameter number i."""
        return self.get_parameter(f"w{i}")


def made(law: fastinit.Initializer, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Weights:
    model = Weights(*shapes, dtype=dtype)
    initialize_(model, [Rule(law)], seed=3)
    return model


def kinds(found: Audit) -> dict[str, set[str]]:
    return {line.name: {flag.kind for flag in line.flags} for line in found.flagged}


# What is right


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_parameter_written_as_declared_is_not_flagged(law: fastinit.Initializer, dtype: torch.dtype) -> None:
    """Large, so that what a format's rounding does to a law would show; and of a few elements."""
    shapes = ((1500, 1000), (300, 7), (40,), (3,), (1,))
    found = audit(made(law, *shapes, dtype=dtype), [Rule(law)], seed=3)
    assert found.ok, str(found)


@pytest.mark.parametrize("law", LAWS[:3], ids=str)
def test_rounding_to_8_bits_would_show_if_it_were_not_accounted_for(law: fastinit.Initializer) -> None:
    tensor = made(law, (10**6,), dtype=torch.float8_e5m2).w(0)
    declared = declare(law, (10**6,), torch.float8_e5m2)
    found = statistics(tensor, declared.scale)
    distance = declared.distance(found.counts)
    plain = law.cdf(declared.scale.edges)
    assert distance is not None
    assert plain is not None
    share = torch.tensor(found.counts, dtype=torch.float64).cumsum(0)[:-1] / 10**6
    assert float((share - plain).abs().max()) > 0.015
    assert distance < 0.002


def test_a_thousand_parameters_raise_no_false_alarm_at_a_level_that_chance_would_meet() -> None:
    """At level 1e-3 for each of ten models."""
    for seed in range(10):
        model = Weights(*[(17, 13)] * 50, *[(5,)] * 50)
        rules = [
            Rule(fastinit.Normal(std=0.3), where=lambda site: site.tensor.ndim == 2),
            Rule(fastinit.Uniform(-1, 1)),
        ]
        initialize_(model, rules, seed=seed)
        assert audit(model, rules, level=1e-3).ok


def test_the_level_is_kept_and_not_wasted() -> None:
    """At a level of one half about half of 400 good parameters may be flagged; a test that never fires flags none."""
    tensors = [fastinit.normal_(torch.empty(200), generator=Key(5).fold_in(i)) for i in range(400)]
    flagged = 0
    for tensor in tensors:
        model = Weights((200,))
        model.w(0).copy_(tensor)
        flagged += not audit(model, [Rule(fastinit.Normal())], level=0.5).ok
    assert 20 < flagged < 200


def test_a_skewed_law_of_few_elements_raises_no_false_alarm() -> None:
    """One element in 40,000 lies six standard deviations out, a thousand times what a normal law would have."""
    law = fastinit.TruncNormal(0.0, 1.0, 0.5, math.inf)
    model = Weights(*[(1,)] * 2000)
    for i in range(25):
        initialize_(model, [Rule(law)], seed=i)
        found = audit(model, [Rule(law)], level=1e-3)
        if max(line.statistics.max for line in found.lines if line.statistics) > 4.4:
            break
    else:
        pytest.fail("none of these keys gives a value far enough out")
    assert found.ok


@pytest.mark.parametrize(
    "law",
    [
        fastinit.Orthogonal(gain=2.0),
        fastinit.Sparse(0.9, 0.01),
        fastinit.Eye(),
        fastinit.Constant(0.1),
        fastinit.Zeros(),
        fastinit.Normal(std=0.0),
    ],
    ids=str,
)
def test_laws_without_a_density_are_judged_by_what_they_know(law: fastinit.Initializer) -> None:
    model = made(law, (64, 64), (200, 30), (4, 4))
    assert audit(model, [Rule(law)], seed=3).ok
    with torch.no_grad():
        model.w(1).add_(0.5)
    assert "w1" in kinds(audit(model, [Rule(law)]))


def test_transformers_of_torch_pass_with_their_recipe() -> None:
    model = nn.Sequential(nn.Embedding(50, 32, padding_idx=4), nn.TransformerEncoderLayer(32, 4), nn.Conv1d(4, 8, 3))
    recipe = fastinit.recipes.torch_default()
    initialize_(model, recipe, seed=0)
    assert audit(model, recipe, seed=0).ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_of_transformers_passes_with_its_recipe(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=3, n_head=4, n_embd=128, vocab_size=1000, bos_token_id=0, eos_token_id=0)
    model = transformers.GPT2LMHeadModel(config).to(dtype)
    recipe = fastinit.recipes.gpt2()
    initialize_(model, recipe, seed=0)
    assert audit(model, recipe, seed=0).ok
    with torch.no_grad():
        model.get_parameter("transformer.h.1.mlp.c_proj.weight").mul_(math.sqrt(6))  # as if it were no residual layer
    assert kinds(audit(model, recipe)) == {"transformer.h.1.mlp.c_proj.weight": {"std", "distribution"}}


def test_tied_parameters_count_once() -> None:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    rules = [Rule(fastinit.Normal())]
    initialize_(model, rules, seed=0)
    found = audit(model, rules)
    assert found.ok
    assert [line.names for line in found.lines] == [("0.weight", "1.weight")]


# What is wrong


def scale(tensor: Tensor) -> None:
    tensor.mul_(1.02)


def shift(tensor: Tensor) -> None:
    tensor.add_(0.001)


def flatten(tensor: Tensor) -> None:
    """Another law with the same mean and standard deviation."""
    fastinit.uniform_(tensor, -0.02 * math.sqrt(3), 0.02 * math.sqrt(3), generator=Key(9))


def cut(tensor: Tensor) -> None:
    fastinit.trunc_normal_(tensor, std=0.0227, a=-0.0454, b=0.0454, generator=Key(9))


def one_nan(tensor: Tensor) -> None:
    tensor[3, 3] = math.nan


def one_infinity(tensor: Tensor) -> None:
    tensor[-1, -1] = -math.inf


def nothing(tensor: Tensor) -> None:
    tensor.zero_()


def zero_row(tensor: Tensor) -> None:
    tensor[17] = 0


def zero_column(tensor: Tensor) -> None:
    tensor[:, 5] = 0


FAULTS: list[tuple[Callable[[Tensor], None], str]] = [
    (scale, "std"),
    (shift, "mean"),
    (flatten, "distribution"),
    (cut, "distribution"),
    (one_nan, "non-finite"),
    (one_infinity, "non-finite"),
    (nothing, "constant"),
    (zero_row, "dead"),
    (zero_column, "dead"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda x: getattr(x, "__name__", x))
def test_a_planted_fault_is_flagged_and_nothing_else(
    fault: Callable[[Tensor], None], kind: str, dtype: torch.dtype
) -> None:
    law = fastinit.Normal(std=0.02)
    model = made(law, (400, 300), (500, 600), (20,), dtype=dtype)
    with torch.no_grad():
        fault(model.w(1))
    found = audit(model, [Rule(law)])
    assert set(kinds(found)) == {"w1"}
    assert kind in kinds(found)["w1"]
    with pytest.raises(fastinit.AuditError, match=f"w1: {kind}"):
        found.raise_if_flagged()


def test_values_out_of_bounds_are_flagged() -> None:
    law = fastinit.Uniform(-0.1, 0.1)
    model = made(law, (30, 30))
    model.w(0)[0, 0] = 0.11
    assert kinds(audit(model, [Rule(law)])) == {"w0": {"bounds"}}


def test_a_wrong_constant_is_flagged() -> None:
    model = made(fastinit.Ones(), (30,))
    model.w(0)[7] = 0.999
    assert kinds(audit(model, [Rule(fastinit.Ones())])) == {"w0": {"values"}}


def test_torchs_biased_bfloat16_uniform_is_flagged() -> None:
    """Its random numbers have 8 bits there and round up to the bound."""
    law = fastinit.Uniform(-0.02, 0.02)
    model = Weights((2000, 2000), dtype=torch.bfloat16)
    torch.manual_seed(0)
    nn.init.uniform_(model.w(0), -0.02, 0.02)
    assert "w0" in kinds(audit(model, [Rule(law)]))
    initialize_(model, [Rule(law)], seed=0)
    assert audit(model, [Rule(law)]).ok


def test_equal_parameters_are_flagged() -> None:
    law = fastinit.Normal()
    model = made(law, (50, 40), (50, 40), (9,), (9,), (3,), (3,))
    with torch.no_grad():
        model.w(1).copy_(model.w(0))
        model.w(3).copy_(model.w(2))
        model.w(5).copy_(model.w(4))  # three numbers may be equal by design: too few to tell
    for found in (audit(model, [Rule(law)]), audit(model)):
        assert kinds(found) == {"w1": {"duplicate"}, "w3": {"duplicate"}}
        assert "w0" in str(found)


def test_equal_layers_of_torchs_encoder_are_flagged() -> None:
    """nn.TransformerEncoder copies one layer: all its layers begin with the same weights."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 2, enable_nested_tensor=False)
    found = kinds(audit(encoder))
    assert found["layers.1.linear1.weight"] == {"duplicate"}
    assert not any(name.startswith("layers.0") for name in found)


@pytest.mark.parametrize("shape", [(100, 40), (30, 2, 50), (64,)])
def test_one_key_used_for_two_shapes_is_flagged(shape: tuple[int, ...]) -> None:
    model = Weights((50, 40), shape)
    fastinit.normal_(model.w(0), std=0.02, generator=Key(1))
    fastinit.normal_(model.w(1), mean=1.0, std=0.5, generator=Key(1))
    assert kinds(audit(model)) == {"w1": {"stream"}}
    fastinit.normal_(model.w(1), mean=1.0, std=0.5, generator=Key(2))
    assert audit(model).ok


def test_another_seed_is_told_apart() -> None:
    rules = [Rule(fastinit.Normal(), where=lambda site: site.tensor.ndim == 2), Rule(fastinit.Zeros())]
    model = Weights((300, 200), (5, 5), (9,))
    initialize_(model, rules, seed=1)
    assert audit(model, rules, seed=1).ok
    assert kinds(audit(model, rules, seed=2)) == {"w0": {"seed"}, "w1": {"seed"}}


def test_parameters_on_meta_and_lazy_ones_are_flagged() -> None:
    with torch.device("meta"):
        model = nn.Linear(3, 3)
    recipe = fastinit.recipes.torch_default()
    expected = {"weight": {"meta"}, "bias": {"meta"}}
    assert kinds(audit(model)) == expected
    assert kinds(audit(model, recipe)) == expected
    assert kinds(audit(nn.LazyLinear(3))) == {"weight": {"empty"}, "bias": {"empty"}}


def test_without_a_recipe_only_what_is_surely_wrong_is_flagged() -> None:
    model = Weights((30, 20), (30, 20), (30, 20), (30, 20), (20,), (20,))
    assert audit(nn.Sequential(nn.Linear(30, 20), nn.LayerNorm(20), nn.Conv2d(3, 8, 3))).ok
    for i, parameter in enumerate(model.parameters()):
        fastinit.normal_(parameter, generator=Key(i))
    model.w(0).fill_(0.5)
    model.w(1)[4] = 0
    model.w(2)[0, 0] = 1e30
    model.w(3)[0, 0] = math.nan
    model.w(4).fill_(1.0)
    expected = {"w0": {"constant"}, "w1": {"dead"}, "w2": {"huge"}, "w3": {"non-finite"}}
    assert kinds(audit(model)) == expected


def test_the_row_of_an_embedding_that_stands_for_padding_is_zero_on_purpose() -> None:
    for row in (0, 4, 49):
        model = nn.Embedding(50, 32, padding_idx=row)
        assert audit(model).ok
        assert audit(model, [Rule(fastinit.Normal())]).ok
    with torch.no_grad():
        model.weight[7] = 0
    assert kinds(audit(model)) == {"weight": {"dead"}}


def test_what_the_recipe_leaves_may_hold_anything_finite() -> None:
    model = Weights((30, 20), (30, 20))
    rules = [Rule(fastinit.Leave(), name="w0"), Rule(fastinit.Normal())]
    model.w(0).zero_()
    initialize_(model, rules, seed=0)
    assert audit(model, rules).ok
    model.w(0)[0, 0] = math.inf
    assert kinds(audit(model, rules)) == {"w0": {"non-finite"}}


# The result


def test_nothing_is_written() -> None:
    model = nn.Linear(30, 20)
    before = {name: (p.clone(), p._version) for name, p in model.named_parameters()}
    state = torch.get_rng_state()
    audit(model)
    audit(model, fastinit.recipes.torch_default(), seed=0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name][0])
        assert parameter._version == before[name][1]
    assert torch.equal(torch.get_rng_state(), state)


def test_it_prints_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Weights((30, 20), (7,))
    fastinit.normal_(model.w(0), generator=Key(0))
    model.w(1).fill_(math.nan)
    found = audit(model)
    assert repr(found) == "Audit(2 parameters, 1 flagged)"
    assert "w1: non-finite: 7 NaN among 7 values" in str(found)
    found.to_json(tmp_path / "audit.json")
    data = json.loads((tmp_path / "audit.json").read_text())
    assert data["ok"] is False
    assert [line["name"] for line in data["parameters"]] == ["w0", "w1"]
    assert data["parameters"][0]["shape"] == [30, 20]
    assert data["parameters"][0]["std"] == pytest.approx(float(model.w(0).std(correction=0)), rel=1e-6)
    assert data["parameters"][1]["mean"] is None
    found.show()
    assert "7 NaN" in capsys.readouterr().out


def test_what_is_refused() -> None:
    model = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        audit(model, level=0.0)
    with pytest.raises(ValueError, match="only together with a recipe"):
        audit(model, seed=1)
    with pytest.raises(ValueError, match="match no rule"):
        audit(model, [Rule(fastinit.Normal(), name="weight")])
