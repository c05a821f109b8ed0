"""Trains a small GPT from torch's and from fastinit's initialisation, and says whether the loss curves agree.

    python benchmarks/training.py --seeds 8 --steps 500

The text is this repository's own, byte by byte.  All runs see the same batches in the same order and have no dropout,
so they differ by their initial weights alone.  torch, patch and recipe are the ways of models.py; the control is
torch's with three times the standard deviation and must be told apart, or the comparison could not find anything.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from agreement import LEVEL, POWER, Agreement, compare
from catalogue import Definition
from fastinit.bench.machine import Facts, describe, headline
from fastinit.bench.plots import save
from fastinit.bench.report import MISSED, Sheet, figure, progress, save_json, show
from histograms import COLOURS
from ways import WAYS

ROOT: Final = Path(__file__).resolve().parents[1]
TEXTS: Final = ("*.md", "docs/*.md", "benchmarks/*.md", "fastinit/**/*.py", "csrc/**/*.h", "csrc/**/*.cpp")
BLOCK: Final = 4096  # bytes; every tenth block is held out for the final loss
CONTEXT: Final = 64
MODEL: Final = Definition(
    "gpt on bytes",
    "gpt2",
    {
        "n_layer": 4,
        "n_head": 4,
        "n_embd": 64,
        "vocab_size": 256,
        "n_positions": CONTEXT,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
)
CONTROL: Final = replace(MODEL, sizes={**MODEL.sizes, "initializer_range": 0.06})  # three times the usual
GROUPS: Final = {way: (MODEL, way) for way in ("torch", "patch", "recipe")} | {"control": (CONTROL, "torch")}
RATE: Final = 1e-3  # AdamW's, after a linear warm-up
WARM_UP: Final = 20  # steps
BATCH: Final = 8
HELD_OUT: Final = 16  # batches for the final loss
NOTES: Final = (
    "Final loss: of text held out, in nats a byte, mean and standard deviation over the seeds.  p: Welch's test of the "
    "final losses, and an exact permutation test of the whole curves; groups agree where both are above "
    f"{LEVEL}.  Detectable: the difference that Welch's test finds with probability {POWER}.  The control must differ."
)


@dataclass
class Group:
    """The runs of one way of initialisation, a seed each."""

    curves: list[list[float]] = field(default_factory=list)
    """Losses on the training batches, by step."""
    finals: list[float] = field(default_factory=list)
    """Losses on the text held out, after the last step."""

    def compare(self, torchs: Group) -> Agreement:
        """This group beside the one from torch's initialisation."""
        return compare(self.finals, torch.tensor(self.curves), torchs.finals, torch.tensor(torchs.curves))


def text() -> bytes:
    """What is trained on: the repository's documents and sources."""
    return b"\n".join(path.read_bytes() for pattern in TEXTS for path in sorted(ROOT.glob(pattern)))


def divided(data: bytes) -> tuple[Tensor, Tensor]:
    """What is trained on and what is held out, uint8: blocks of all parts of the text in both."""
    blocks = torch.frombuffer(bytearray(data[: len(data) // BLOCK * BLOCK]), dtype=torch.uint8).view(-1, BLOCK)
    held_out = torch.arange(len(blocks)) % 10 == 9
    return blocks[~held_out].flatten(), blocks[held_out].flatten()


def batches(data: Tensor, count: int, seed: int) -> Tensor:
    """Pieces of text from anywhere in it, of shape (count, BATCH, CONTEXT), int64."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(data) - CONTEXT, (count, BATCH, 1), generator=generator)
    return data[starts + torch.arange(CONTEXT)].long()


def loss_of(model: nn.Module, batch: Tensor) -> Tensor:
    """The mean loss of every byte but the first, in nats."""
    logits = model(input_ids=batch).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())


def train(definition: Definition, way: str, seed: int, seen: Tensor, held_out: Tensor) -> tuple[list[float], float]:
    """The loss at every batch of ``seen``, and at last the mean one over those held out."""
    model = WAYS[way][0](definition, seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / WARM_UP))
    curve: list[float] = []
    for batch in seen:
        loss = loss_of(model, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        curve.append(loss.item())
    with torch.no_grad():
        final = statistics.fmean(loss_of(model, batch).item() for batch in held_out)
    return curve, final


def run(steps: int, seeds: int) -> dict[str, Group]:
    """Every group and seed in turn, on the same batches."""
    data, rest = divided(text())
    seen, held_out = batches(data, steps, seed=0), batches(rest, HELD_OUT, seed=1)
    groups = {name: Group() for name in GROUPS}
    turns = [(seed, name) for seed in range(seeds) for name in GROUPS]
    for seed, name in progress(turns, f"training runs of {steps} steps"):
        curve, final = train(*GROUPS[name], seed, seen, held_out)
        groups[name].curves.append(curve)
        groups[name].finals.append(final)
    return groups


def rows(groups: dict[str, Group], agreements: dict[str, Agreement]) -> list[tuple[str, ...]]:
    """The table's lines, torch's group first."""
    lines: list[tuple[str, ...]] = []
    for name, group in groups.items():
        losses = f"{statistics.fmean(group.finals):.4f} ± {statistics.stdev(group.finals):.4f}"
        if name not in agreements:
            lines.append((name, losses, *["-"] * 6))
            continue
        one = agreements[name]
        low, high = one.interval
        expected = one.agrees != (name == "control")
        answer = ("agrees" if one.agrees else "differs") if expected else MISSED
        tests = (figure(one.p_final), figure(one.p_curve), f"{one.detectable:.4f}")
        lines.append((name, losses, f"{one.difference:+.4f}", f"{low:+.4f} to {high:+.4f}", *tests, answer))
    return lines


def draw(path: Path, machine: Facts, groups: dict[str, Group]) -> None:
    """Mean curves and bands from the lowest to the highest seed; below them the distance to torch's mean."""
    drawing = Figure(figsize=(9, 6.5), layout="constrained")
    drawing.suptitle(f"A small GPT on this repository's text, by initialisation: {headline(machine)}", fontsize=9)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    reference = torch.tensor(groups["torch"].curves).mean(0)
    for name, group in groups.items():
        curves, colour = torch.tensor(group.curves), COLOURS.get(name, "#7f7f7f")
        for axes, shown in ((above, curves), (below, curves - reference)):
            steps = range(curves.shape[1])
            axes.plot(steps, shown.mean(0).tolist(), color=colour, linewidth=1, label=name)
            axes.fill_between(
                steps, shown.amin(0).tolist(), shown.amax(0).tolist(), color=colour, alpha=0.15, linewidth=0
            )
    above.set_ylabel("loss, nats a byte")
    above.legend(
        title=f"{len(groups['torch'].finals)} seeds each; bands: lowest to highest", title_fontsize=7, fontsize=7
    )
    below.set_ylabel("distance to torch's mean")
    below.set_xlabel("step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    save(drawing, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains and compares; returns 0, or 1 where fastinit's curves differ from torch's or the control's do not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6, help="runs of each group, at least 2 (%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="of each run (%(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="intra-op threads (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/training"), help="folder for JSON and PNG (%(default)s)"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    machine = describe()
    groups = run(args.steps, args.seeds)
    agreements = {name: group.compare(groups["torch"]) for name, group in groups.items() if name != "torch"}
    columns = ("initialisation", "final loss", "difference", f"{1 - LEVEL:.0%} interval", "p final", "p curve")
    title = f"A small GPT trained for {args.steps} steps from {args.seeds} seeds each"
    show(machine, Sheet(title, (*columns, "detectable", "verdict"), rows(groups, agreements), NOTES))
    results = {
        "steps": args.steps,
        "seeds": args.seeds,
        "threads": args.threads,
        "text": {"bytes": len(text()), "sha256": hashlib.sha256(text()).hexdigest()},
        "uniform_loss": math.log(256),
        "finals": {name: group.finals for name, group in groups.items()},
        "agreements": {name: one.record() for name, one in agreements.items()},
        "curves": [{"group": name, "losses": curve} for name, group in groups.items() for curve in group.curves],
    }
    save_json(args.out / "training.json", "training", machine, results)
    draw(args.out / "training.png", machine, groups)
    print(f"written: training.json and training.png in {args.out}")
    expected = {name: name != "control" for name in agreements}
    return 0 if expected == {name: one.agrees for name, one in agreements.items()} else 1


if __name__ == "__main__":
    raise SystemExit(main())
