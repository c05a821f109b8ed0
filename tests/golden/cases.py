"""Which values are golden: the cases, and the file that holds their bits."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.arithmetic import FORMATS
from golden.reference import LAWS, Key, Law, TorchGenerator, sparse_codes

VALUES = Path(__file__).with_name("values.json")
INF = math.inf

# Keys whose first block holds one of the four words at which values are extreme: found by search, and tested to be so.
ZERO_EVEN = Key(1, 364375560 // 4)  # word 0 is 0
ZERO_ODD = Key(2, 3367486309 // 4)  # word 1 is 0
ONES_EVEN = Key(2, 1899991958 // 4)  # word 2 is 2^32 - 1
LEAST = Key(2, 971549625 // 4)  # word 1 is 2^31, the least signed number
GREATEST = Key(2, 173546145 // 4)  # word 1 is 2^31 - 1, the greatest
EXTREMES = (ZERO_EVEN, ZERO_ODD, ONES_EVEN, LEAST, GREATEST)

KEYS = (
    Key(0),
    Key(42, 7),
    Key(0x9E3779B97F4A7C15, 5),  # a seed of 64 bits
    Key(7, 2**32 - 2),  # the lower half of the block counter wraps after 8 elements
    Key(2**64 - 1, 2**64 - 3),  # all of it wraps after 12
    *EXTREMES,
)
STARTS = (0, 1, 6, 2**32 - 3, 10**15 + 2)  # of a range of elements
COUNT = 16

REALS = tuple(FORMATS)
COMPLEX = ("complex64", "complex128")

# Parameters of each law. The comment names the form of section 4.3 in float32; float64 knows no central, and narrow
# for narrower ones only.
PARAMETERS: dict[str, tuple[tuple[float, ...], ...]] = {
    "uniform": (
        (0.0, 1.0),
        (-0.1, 0.3),  # in no binary format
        (-1.0, 0.0),
        (3.0, 3.0),
        (0.3, 0.301),  # between two numbers of an 8-bit format
        (-0.001, 0.01),
        (0.99, 1.00390625),  # ends half-way between two numbers of bfloat16
    ),
    "normal": (
        (0.0, 1.0),
        (-0.5, 0.02),
        (0.0, 0.0),
        (3.0, 1e4),  # beyond the 8-bit formats
        (1e-3, 1e-6),
    ),
    "trunc_normal": (
        (0.3, 0.0, -2.0, 2.0),  # point
        (5.0, 0.0, -0.1, 0.3),
        (0.0, 1.0, 0.3, 0.3),
        (0.0, 0.02, -2.0, 2.0),  # normal
        (1.0, 3.0, -INF, INF),
        (0.0, 1.0, 1.0, 1.001),  # narrow
        (0.1, 0.7, -1.3, -1.29),
        (0.0, 1.0, -0.1, 0.13),
        (2.0, 0.5, 30.0, 30.001),
        (0.0, 1.0, 0.51, 0.52),
        (0.0, 1.0, 0.0, 1e-14),
        (0.0, 1.0, -1.001, -1.0),
        (0.0, 1.0, -2.0, 2.0),  # central
        (0.0, 0.02, -0.04, 0.03),
        (0.37, 2.0, -0.1, 4.3),
        (0.0, 1.0, 2.0, 4.0),  # tail
        (0.0, 1.0, -9.0, -8.0),
        (0.0, 1.0, 20.0, INF),
        (1.0, 0.01, -INF, 0.0),
        (0.0, 1.0, 5.0, 1e5),
        (0.0, 1.0, -3.0, 3.0),  # full
        (0.0, 1.0, 0.0, INF),
        (0.1, 1.0, -INF, 1.0),
        (0.0, 1.0, -5.0, 8.3),
        (0.3, 100.0, -700.0, 250.0),  # and beyond the 8-bit formats
        (0.0, 1e6, -66000.0, 66000.0),  # beyond float16
    ),
}


@dataclass(frozen=True)
class Case:
    """Some elements of a tensor: what fills it, and which."""

    law: str
    parameters: tuple[float, ...]
    dtype: str
    key: Key
    first: int
    count: int

    @property
    def name(self) -> str:
        """A name for a table, and for a test."""
        numbers = ", ".join(f"{p:g}" for p in self.parameters)
        return f"{self.law}({numbers}) {self.dtype} {self.key.seed:x}+{self.key.offset:x} from {self.first}"

    @property
    def reference(self) -> Law:
        """The law as the reference knows it."""
        return LAWS[self.law](self.dtype, self.parameters)

    def bits(self, count: int | None = None) -> str:
        """What the reference computes: the bits of every value in hexadecimal digits, one after the other."""
        law = self.reference
        return join(law.codes(self.key, self.first, self.count if count is None else count), law.target.bits)


def join(codes: list[int], bits: int) -> str:
    """Codes as digits, the most significant first."""
    return "".join(f"{code:0{bits // 4}x}" for code in codes)


# One of each form, which every key and every start meets.
THOROUGH = {(0.0, 1.0), (0.0, 1.0, 1.0, 1.001), (0.0, 1.0, -2.0, 2.0), (0.0, 1.0, 2.0, 4.0), (0.0, 1.0, -3.0, 3.0)}

# Uniform values around 1 in a range of `spread` 2^-30, and an element whose exact sum lies so close to the middle
# between two floats that a fused multiply-add made of double operations, without a second look, rounds the wrong way.
MIDPOINTS = ((8571575, 34393), (8407853, 108305), (8450021, 654183), (8393995, 829339))


def short_cases() -> Iterator[Case]:
    """A few elements of everything: each law in each dtype, from keys and places that take turns."""
    turn = 0
    for law, table in PARAMETERS.items():
        for parameters in table:
            for dtype in REALS if law == "trunc_normal" else (*REALS, *COMPLEX):
                if parameters in THOROUGH and dtype in ("float32", "float64"):
                    places = [(key, 0) for key in KEYS] + [(KEYS[1], first) for first in STARTS[1:]]
                else:
                    places = [(KEYS[turn % len(KEYS)], 0), (KEYS[1], STARTS[turn % len(STARTS)])]
                    places = places[turn % 2 : turn % 2 + 1]
                    turn += 1
                for key, first in places:
                    yield Case(law, parameters, dtype, key, first, COUNT)
    for spread, first in MIDPOINTS:
        yield Case("uniform", (1 - spread * 2**-31, 1 + spread * 2**-31), "float32", Key(42), first - 5, COUNT)


def long_cases() -> Iterator[Case]:
    """A thousand elements, so that every part of a vector kernel has its turn: kept as a digest."""
    for law, parameters in (
        ("uniform", (-1.0, 1.0)),
        ("normal", (0.0, 1.0)),
        ("trunc_normal", (0.0, 1.0, 1.0, 1.1)),
        ("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 2.0, 4.0)),
        ("trunc_normal", (0.0, 1.0, -3.0, 4.0)),
    ):
        for dtype in ("float32", "float64", "bfloat16", "float8_e4m3fn"):
            yield Case(law, parameters, dtype, Key(2024, 2**32 - 100), 3, 1000)


SPARSE = (
    ("float32", 0.3, 0.01, Key(3), 7, 5),
    ("float32", 1.0, 1.0, Key(3), 3, 2),
    ("float64", 0.0, 0.5, Key(4, 2**32 - 1), 4, 3),
    ("bfloat16", 0.5, 1.0, Key(2**40), 9, 4),
    ("complex64", 0.21, 2.0, Key(5), 5, 4),
)

FOLDS: tuple[tuple[int, int, int | str], ...] = (
    (0, 0, 0),
    (0, 0, ""),
    (0, 9, "decoder.layers.3.weight"),
    (2**64 - 1, 0, -1),
    (2**32, 1, "Gewicht \u00e4\u00f6\u00fc \U0001f3b2"),
    (0x9E3779B97F4A7C15, 0, 2**64 - 1),
    (5, 0, 2**32),
)

TORCH_SEEDS = (0, 1, 2**32 + 1, 2**63, 2**64 - 1)
DRAWS, SKIP = 3, 308  # fills, then outputs of 64 bits that others draw, then as many fills


def digest(case: Case) -> str:
    """SHA-256 of the bits of a long case."""
    return hashlib.sha256(bytes.fromhex(case.bits())).hexdigest()


def compute() -> dict[str, dict[str, Any]]:
    """All golden values, by the name of the case."""
    return {
        "short": {case.name: case.bits() for case in short_cases()},
        "long": {case.name: digest(case) for case in long_cases()},
        "sparse": {repr(case): join(sparse_codes(*case), LAWS["normal"](case[0], ()).target.bits) for case in SPARSE},
        "fold_in": folds(),
        "generator": generators(),
    }


def folds() -> dict[str, str]:
    """The seed of every folded key."""
    return {repr(case): f"{Key(*case[:2]).fold_in(case[2]).seed:016x}" for case in FOLDS}


def generators() -> dict[str, list[str]]:
    """The seeds of the keys of the first fills from a generator, and of some in its second round of 624 outputs."""
    drawn: dict[str, list[str]] = {}
    for seed in TORCH_SEEDS:
        generator = TorchGenerator(seed)
        keys = [generator.key() for _ in range(DRAWS)]
        for _ in range(SKIP):
            generator.random64()
        keys += [generator.key() for _ in range(DRAWS)]
        drawn[str(seed)] = [f"{key.seed:016x}" for key in keys]
    return drawn


def write() -> None:
    """Compute all golden values and write the file."""
    VALUES.write_text(json.dumps(compute(), indent=0) + "\n")


def read() -> dict[str, dict[str, Any]]:
    """The golden values on file."""
    values: dict[str, dict[str, Any]] = json.loads(VALUES.read_text())
    return values
