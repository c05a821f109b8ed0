"""What the samples of one model come to: medians, ratios, rows of the tables and the JSON entry."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from catalogue import Definition
from fastinit.bench.report import figure
from fastinit.bench.timing import Timing
from fresh import Sample
from histograms import Picture
from ways import FILLING, OWN, WAYS


@dataclass(frozen=True)
class Measured:
    """One model and the samples of every way, in the order in which they were taken."""

    definition: Definition
    threads: int
    parameters: int
    """Elements of all parameters, tied ones counted once."""
    bytes: int
    samples: dict[str, list[Sample]]

    @classmethod
    def of(cls, definition: Definition, threads: int) -> Measured:
        """A model that has no samples yet."""
        parameters = list(definition.on_meta().parameters())
        elements, size = sum(p.numel() for p in parameters), sum(p.nbytes for p in parameters)
        return cls(definition, threads, elements, size, {way: [] for way in WAYS})

    def fresh(self, way: str) -> Timing:
        """Of making the model in fresh memory."""
        return Timing.of([one.seconds for one in self.samples[way]])

    def again(self, way: str) -> Timing:
        """Of filling the same memory again."""
        return Timing.of([one.again for one in self.samples[way]])

    def extra(self, way: str) -> float | None:
        """The median of the peaks of memory beyond the model, as a share of its parameters."""
        peaks = [one.extra for one in self.samples[way] if one.extra is not None]
        return statistics.median(peaks) / self.bytes if peaks else None

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as long one way takes as another, in fresh memory."""
        return self.fresh(slow).seconds / self.fresh(fast).seconds

    def ratio_again(self, slow: str, fast: str) -> float:
        """The same in touched memory."""
        return self.again(slow).seconds / self.again(fast).seconds

    @property
    def deviation(self) -> float:
        """The farthest mean or spread of any parameter from its rule, in standard errors, of all that was looked at."""
        return max(one.deviation for way in FILLING for one in self.samples[way] if one.deviation is not None)

    def pictures(self) -> dict[str, dict[str, Picture]]:
        """By way and parameter."""
        return {way: self.samples[way][0].pictures for way in FILLING}

    def record(self) -> dict[str, object]:
        """The entry in the JSON file; times are seconds, memory is bytes."""
        return {
            "model": self.definition.name,
            "dtype": self.definition.dtype,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "threads": self.threads,
            "samples": {way: len(taken) for way, taken in self.samples.items()},
            "seconds": {way: self.fresh(way).seconds for way in WAYS},
            "fastest": {way: self.fresh(way).low for way in WAYS},
            "slowest": {way: self.fresh(way).high for way in WAYS},
            "seconds_again": {way: self.again(way).seconds for way in WAYS},
            "extra_bytes": {way: [one.extra for one in taken] for way, taken in self.samples.items()},
            **{f"torch_to_{way}": self.ratio("torch", way) for way in OWN},
            **{f"{way}_to_limit": self.ratio(way, "limit") for way in OWN},
            "torch_to_recipe_again": self.ratio_again("torch", "recipe"),
            "deviation": self.deviation,
        }

    def seconds_row(self) -> tuple[str, ...]:
        """Its line in the table of seconds."""
        seconds = (figure(self.fresh(way).seconds) for way in WAYS)
        return (self.definition.name, f"{self.parameters:,}", *seconds, figure(self.deviation))

    def ratios_row(self) -> tuple[str, ...]:
        """Its line in the table of ratios."""
        to_torch = (f"{self.ratio('torch', way):.1f}x" for way in OWN)
        return (self.definition.name, *to_torch, *(f"{self.ratio(way, 'limit'):.2f}x" for way in OWN))

    def extra_row(self) -> tuple[str, ...]:
        """Its line in the table of extra memory."""
        shares = (self.extra(way) for way in FILLING)
        return (self.definition.name, *("-" if share is None else f"{share:.1%}" for share in shares))

    def again_row(self) -> tuple[str, ...]:
        """Its line in the table of touched memory."""
        seconds = (figure(self.again(way).seconds) for way in WAYS)
        return (self.definition.name, *seconds, f"{self.ratio_again('torch', 'recipe'):.1f}x")
