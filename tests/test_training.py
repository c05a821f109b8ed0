"""The training benchmark: the same batches for all, losses that fall as they must, and comparisons that can fail."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.stats import ttest_ind
from torch import Tensor


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The scripts of benchmarks/, which import each other as a script's neighbours do."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return SimpleNamespace(**{name: importlib.import_module(name) for name in ("agreement", "training", "ways")})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for so small a model a second one costs more than it brings
    yield
    torch.set_num_threads(before)


def curves(runs: int, shift: float = 0.0, seed: int = 0, steps: int = 40) -> Tensor:
    """Losses that fall alike and differ by noise of one standard deviation of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    return 5 - 0.05 * torch.arange(steps) + 0.1 * torch.randn(runs, 1, generator=generator) + shift


def compared(bench: Any, one: Tensor, other: Tensor) -> Any:
    return bench.agreement.compare(one[:, -1].tolist(), one, other[:, -1].tolist(), other)


def test_the_text_is_this_repositorys_and_enough_to_learn_from(bench: Any) -> None:
    text = bench.training.text()
    assert b"torch.nn.init" in text
    assert len(text) > 300_000


def test_what_is_held_out_is_a_tenth_and_not_trained_on(bench: Any) -> None:
    block = bench.training.BLOCK
    data = b"".join(bytes([number]) * block for number in range(20)) + b"rest"
    seen, held_out = bench.training.divided(data)
    assert set(held_out.tolist()) == {9, 19}
    assert sorted(set(seen.tolist())) == [n for n in range(20) if n not in (9, 19)]
    assert (len(seen), len(held_out)) == (18 * block, 2 * block)


def test_batches_are_pieces_of_the_text_and_follow_from_the_seed(bench: Any) -> None:
    data = torch.arange(200, dtype=torch.uint8)
    batches = bench.training.batches(data, 3, seed=0)
    assert batches.shape == (3, bench.training.BATCH, bench.training.CONTEXT)
    assert (batches.diff(dim=2) == 1).all()
    assert torch.equal(batches, bench.training.batches(data, 3, seed=0))
    assert not torch.equal(batches, bench.training.batches(data, 3, seed=1))


@pytest.mark.parametrize("way", ["torch", "patch", "recipe"])
def test_a_run_starts_knowing_nothing_learns_and_can_be_repeated(bench: Any, way: str) -> None:
    training = bench.training
    seen, held_out = training.divided(training.text())
    batches, rest = training.batches(seen, 25, seed=0), training.batches(held_out, 2, seed=1)
    noise = torch.randint(256, batches[:1].shape, generator=torch.Generator().manual_seed(0))
    # On random bytes: in text one byte often follows itself, which a tied embedding favours from the start. Logits have
    # a standard deviation of 0.02 * sqrt(64), and half their variance is what they cost.
    (start,), _ = training.train(training.MODEL, way, 0, noise, noise)
    assert start == pytest.approx(math.log(256) + 0.16**2 / 2, abs=0.03)
    _, untrained = training.train(training.MODEL, way, 0, batches[:0], rest)
    curve, trained = training.train(training.MODEL, way, 0, batches, rest)
    assert trained < untrained - 0.5
    assert training.train(training.MODEL, way, 0, batches[:2], rest)[0] == pytest.approx(curve[:2], rel=1e-5)
    assert training.train(training.MODEL, way, 1, batches[:1], rest)[0][0] != curve[0]


def test_the_loss_is_that_of_transformers(bench: Any) -> None:
    model = bench.ways.by_recipe(bench.training.MODEL, 0)
    batch = torch.randint(256, (2, 16), generator=torch.Generator().manual_seed(0))
    theirs = model.loss_function(model(input_ids=batch).logits, batch, vocab_size=256)
    assert bench.training.loss_of(model, batch).item() == pytest.approx(theirs.item(), rel=1e-6)


def test_groups_of_one_distribution_agree_and_shifted_ones_do_not(bench: Any) -> None:
    same = compared(bench, curves(6, seed=1), curves(6, seed=2))
    assert same.agrees
    assert same.interval[0] < 0 < same.interval[1]
    apart = compared(bench, curves(6, 0.5, seed=1), curves(6, seed=2))
    assert not apart.agrees
    assert apart.difference == pytest.approx(same.difference + 0.5, abs=1e-5)
    assert apart.interval[0] > 0
    assert max(apart.p_final, apart.p_curve) < 0.01


def test_a_difference_along_the_way_is_seen_where_the_ends_agree(bench: Any) -> None:
    other = curves(6, seed=2)
    one = curves(6, seed=1)
    one[:, 10:20] += 0.5
    result = compared(bench, one, other)
    assert result.p_final > 0.01
    assert result.p_curve < 0.01
    assert not result.agrees


def test_the_interval_and_the_p_value_are_welchs(bench: Any) -> None:
    one, other = curves(5, 0.1, seed=1)[:, -1], 3 * curves(8, seed=2)[:, -1]
    result = bench.agreement.compare(one.tolist(), one[:, None], other.tolist(), other[:, None])
    theirs = ttest_ind(one.double().numpy(), other.double().numpy(), equal_var=False)
    assert result.p_final == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(1 - bench.agreement.LEVEL)
    assert result.interval == pytest.approx((interval.low, interval.high))


def test_the_permutation_test_counts_divisions(bench: Any) -> None:
    far = bench.agreement.permutation(curves(4, 100.0), curves(4, seed=1))
    assert far == pytest.approx(2 / math.comb(8, 4))  # the division itself, and its mirror image
    assert bench.agreement.permutation(curves(3, 100.0), curves(4, seed=1)) == pytest.approx(1 / math.comb(7, 3))


def test_the_permutation_test_is_as_strict_as_it_says(bench: Any) -> None:
    values = [bench.agreement.permutation(curves(4, seed=i), curves(4, seed=1000 + i)) for i in range(400)]
    found = sum(p <= 0.1 for p in values) / len(values)
    assert 0.04 < found < 0.16  # a tenth, less than 4 standard errors of 0.015 away


def test_the_detectable_difference_is_detected_as_often_as_it_says(bench: Any) -> None:
    shift = compared(bench, curves(6, seed=1), curves(6, seed=2)).detectable
    spread = torch.cat([curves(6, seed=1) - curves(6, seed=1).mean(0), curves(6, seed=2) - curves(6, seed=2).mean(0)])
    scale = float((spread[:, -1] ** 2).sum() / 10) ** 0.5 / 0.1  # the noise that these two groups happen to have
    hits = [
        compared(bench, scale * curves(6, seed=3 * i) + shift, scale * curves(6, seed=3 * i + 1)).p_final
        < bench.agreement.LEVEL
        for i in range(200)
    ]
    assert 0.8 < sum(hits) / len(hits) < 0.97


def test_a_run_compares_prints_draws_and_writes(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = bench.training.main(["--seeds", "2", "--steps", "3", "--threads", "1", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "training.json").read_text())
    assert set(content["finals"]) == {"torch", "patch", "recipe", "control"}
    assert all(len(finals) == 2 for finals in content["finals"].values())
    assert len(content["curves"]) == 8
    assert all(len(entry["losses"]) == 3 for entry in content["curves"])
    agreements = content["agreements"]
    as_hoped = agreements["patch"]["agrees"] and agreements["recipe"]["agrees"] and not agreements["control"]["agrees"]
    assert status == (0 if as_hoped else 1)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    assert "A small GPT trained for 3 steps from 2 seeds each" in capsys.readouterr().out
