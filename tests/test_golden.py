"""The stream is a format: the bits in golden/values.json, written by an independent program, on every instruction set.

That program is golden/reference.py: docs/stream.md in plain Python. A failure here means that values changed for
everybody: mend the code, or make a new version of the stream (``cd tests && python -m golden`` writes the file again).
"""

import hashlib
import math
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import fastinit
from fastinit import _C, Key, shard
from golden import cases, reference
from golden.arithmetic import FLOAT32, FORMATS
from golden.cases import Case

VALUES = cases.read()
SHORT, LONG = list(cases.short_cases()), list(cases.long_cases())
FILLS = {"uniform": fastinit.uniform_, "normal": fastinit.normal_, "trunc_normal": fastinit.trunc_normal_}
WIDTHS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@pytest.fixture(params=_C.facts()["isa_supported"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that was compiled and runs here."""
    _C.force_isa(request.param)
    yield request.param
    _C.force_isa(None)


def bits(tensor: Tensor) -> str:
    """The bits of every value, real and imaginary parts apart, as golden/cases.py writes them."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    width = 8 * real.element_size()
    codes = real.contiguous().view(WIDTHS[width // 8]).flatten().tolist()
    return cases.join([code % 2**width for code in codes], width)


def filled(case: Case) -> Tensor:
    """What fastinit writes: the end of a tensor that starts at element 0."""
    part = torch.empty(case.count, dtype=getattr(torch, case.dtype))
    target = shard(part, (case.first + case.count,), (case.first,))
    FILLS[case.law](target, *case.parameters, generator=Key(case.key.seed, case.key.offset))  # type: ignore[operator]
    return part


def differences(expected: dict[str, str], got: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (expected[name], got[name]) for name in expected if expected[name] != got[name]}


# The extension against the file


def test_every_law_in_every_dtype_has_the_golden_bits(isa: str) -> None:
    assert differences(VALUES["short"], {case.name: bits(filled(case)) for case in SHORT}) == {}


def test_long_fills_have_the_golden_bits(isa: str) -> None:
    got = {case.name: hashlib.sha256(bytes.fromhex(bits(filled(case)))).hexdigest() for case in LONG}
    assert differences(VALUES["long"], got) == {}


def test_sparse_matrices_have_the_golden_bits(isa: str) -> None:
    got = {}
    for case in cases.SPARSE:
        dtype, sparsity, std, key, rows, columns = case
        matrix = torch.empty(rows, columns, dtype=getattr(torch, dtype))
        fastinit.sparse_(matrix, sparsity, std, generator=Key(key.seed, key.offset))
        got[repr(case)] = bits(matrix)
    assert differences(VALUES["sparse"], got) == {}


def test_folded_keys_have_the_golden_seeds() -> None:
    for seed, offset, data in cases.FOLDS:
        key = Key(seed, offset).fold_in(data)
        assert f"{key.seed:016x}" == VALUES["fold_in"][repr((seed, offset, data))]
        assert key.offset == offset


@pytest.mark.parametrize("default", [False, True], ids=["own generator", "default generator"])
@pytest.mark.parametrize("seed", cases.TORCH_SEEDS)
def test_fills_from_a_torch_generator_have_the_golden_keys(seed: int, default: bool) -> None:
    generator = torch.default_generator if default else torch.Generator()
    generator.manual_seed(seed - 2**64 if default and seed >= 2**63 else seed)
    fills = []
    for draw in range(2 * cases.DRAWS):
        if draw == cases.DRAWS:  # 64 bits a draw, as random_ draws them too
            torch.empty(cases.SKIP, dtype=torch.int64).random_(-(2**63), None, generator=generator)
        fills.append(fastinit.normal_(torch.empty(8), generator=None if default else generator))
    expected = [fastinit.normal_(torch.empty(8), generator=Key(int(key, 16))) for key in VALUES["generator"][str(seed)]]
    assert torch.equal(torch.stack(fills), torch.stack(expected))


# The extension against the program itself


def bound(exponents: st.SearchStrategy[int]) -> st.SearchStrategy[float]:
    """Numbers around a power of two, of either sign: some exact, some next to it, some anywhere; and 0."""
    return st.builds(
        lambda exponent, factor, nudge: factor * math.ldexp(1.0 + nudge, exponent),
        exponents,
        st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-2, 2),
        st.sampled_from([0.0, 2.0**-8, 2.0**-20, 2.0**-52]),
    )


@given(
    data=st.data(),
    dtype=st.sampled_from(cases.REALS),
    law=st.sampled_from(["uniform", "trunc_normal"]),
    exponent=st.integers(-30, 6),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=100)
def test_any_parameters_give_the_values_of_the_program(
    data: st.DataObject, dtype: str, law: str, exponent: int, seed: int
) -> None:
    numbers = bound(st.just(exponent))
    a, b = sorted((data.draw(numbers), data.draw(numbers)))
    parameters: tuple[float, ...] = (a, b)
    if law == "trunc_normal":
        limits = data.draw(st.sampled_from([(a, b), (a, math.inf), (-math.inf, b)]))
        std = math.ldexp(data.draw(st.floats(0.5, 1)), exponent + data.draw(st.integers(-12, 6)))
        parameters = (data.draw(numbers), std, *limits)
    case = Case(law, parameters, dtype, reference.Key(seed), 0, 3)
    assert bits(filled(case)) == case.bits(), case


@pytest.mark.parametrize("dtype", ["float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"])
@pytest.mark.parametrize("parameters", [(-1e-9, 1e-9), (-1e-9, 0.0), (0.0, 1e-9), (1e-9, 2e-9), (-2e-9, -1e-9)])
def test_zeros_have_the_sign_of_what_rounds_to_them(parameters: tuple[float, float], dtype: str) -> None:
    """In ranges that lie within half of the least number of the dtype."""
    case = Case("uniform", parameters, dtype, reference.Key(3), 0, 3)
    assert bits(filled(case)) == case.bits()


# The file against the program that wrote it, so that neither is edited alone


def test_the_file_holds_every_case_and_no_other() -> None:
    assert list(VALUES["short"]) == [case.name for case in SHORT]
    assert list(VALUES["long"]) == [case.name for case in LONG]
    assert list(VALUES["sparse"]) == [repr(case) for case in cases.SPARSE]
    assert list(VALUES["fold_in"]) == [repr(case) for case in cases.FOLDS]
    assert list(VALUES["generator"]) == [str(seed) for seed in cases.TORCH_SEEDS]


def test_the_program_still_computes_the_first_values_of_every_case() -> None:
    for case in SHORT:
        start = case.bits(1)
        assert VALUES["short"][case.name].startswith(start), case.name


def test_the_program_still_computes_a_long_case_a_sparse_one_and_every_key() -> None:
    assert cases.digest(LONG[0]) == VALUES["long"][LONG[0].name]
    (name, codes), *_ = VALUES["sparse"].items()
    assert name == repr(cases.SPARSE[0])
    assert cases.join(reference.sparse_codes(*cases.SPARSE[0]), 32) == codes
    assert cases.folds() == VALUES["fold_in"]
    assert cases.generators() == VALUES["generator"]


def test_every_form_of_the_truncated_normal_is_among_the_cases() -> None:
    def forms(dtype: str) -> set[str]:
        return {case.reference.form for case in SHORT if case.law == "trunc_normal" and case.dtype == dtype}

    mirrored = {f"{form}{side}" for form in ("narrow", "tail", "full") for side in ("", ", reflected")}
    both = {f"central{side}" for side in ("", ", reflected")}
    assert forms("float64") == mirrored | {"point", "normal"}
    for dtype in ("float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz"):
        assert forms(dtype) == mirrored | both | {"point", "normal"}, dtype


# The program against sources that know nothing of it


def known_answers() -> list[Any]:
    """Random123's vectors for Philox4x32: rounds, counter, key, output."""
    found = []
    text = Path(__file__).with_name("golden").joinpath("philox4x32.kat").read_text()
    for line in text.splitlines():
        if not line.startswith("#"):
            rounds, *words = line.split()
            w = [int(word, 16) for word in words]
            found.append((int(rounds), w[:4], w[4:6], tuple(w[6:])))
    return found


@pytest.mark.parametrize(("rounds", "counter", "key", "output"), known_answers())
def test_philox_gives_the_published_answers(rounds: int, counter: list[int], key: list[int], output: Any) -> None:
    assert reference.philox(counter, key, rounds) == output


@pytest.mark.parametrize("key", cases.KEYS, ids=lambda key: f"{key.seed:x}+{key.offset:x}")
def test_the_words_of_the_extension_are_those_of_the_program(isa: str, key: reference.Key) -> None:
    for domain in (0, 5):
        for first in (0, 3, 2**33 + 1):
            words = _C.words(key.seed, key.offset, domain, first, 70)
            assert words == [key.word(i, domain) for i in range(first, first + 70)]


def test_the_extreme_keys_hold_the_words_they_are_named_for() -> None:
    assert cases.ZERO_EVEN.word(0) == 0
    assert cases.ZERO_ODD.word(1) == 0
    assert cases.ONES_EVEN.word(2) == 2**32 - 1
    assert cases.LEAST.word(1) == 2**31
    assert cases.GREATEST.word(1) == 2**31 - 1


@pytest.mark.parametrize("name", [name for name, target in FORMATS.items() if target.bits < 32])
def test_the_programs_narrow_formats_are_torchs(name: str) -> None:
    """Every code, every midpoint of two numbers, and numbers of all sizes, rounded as torch's cast rounds them."""
    target, dtype = FORMATS[name], getattr(torch, name)
    numbers = [target.decode(code) for code in range(target.greatest_code + 1)]
    middles = [(x + y) / 2 for x, y in pairwise(numbers)]
    source = random.Random(1)
    others = [math.ldexp(source.uniform(1, 2), source.randrange(-140, 20)) for _ in range(1000)]
    magnitudes = [FLOAT32.nearest(x) for x in (*numbers, *middles, *others, target.max * (1 + 2**-5))]
    if target.kind == "fn":  # what overflow becomes there has changed: NaN up to torch 2.12, the greatest number since
        magnitudes = [x for x in magnitudes if x <= target.max]
    sample = [sign * x for x in (*magnitudes[:: max(1, len(magnitudes) // 3000)], magnitudes[-1]) for sign in (1, -1)]
    ours = [target.encode(target.nearest(x)) for x in sample]
    assert cases.join(ours, target.bits) == bits(torch.tensor(sample).to(dtype))
    assert all(target.encode(x) == code for code, x in enumerate(numbers))


def test_the_programs_twister_is_torchs() -> None:
    ours, theirs = reference.TorchGenerator(12345), torch.Generator().manual_seed(12345)
    drawn = torch.empty(700, dtype=torch.int64).random_(-(2**63), None, generator=theirs)
    assert [ours.random64() - 2**64 * (code < 0) for code in drawn.tolist()] == drawn.tolist()
