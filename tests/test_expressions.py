"""Numbers written as text: arithmetic is understood, and nothing else is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastinit.models.expressions import evaluate

NAMES = {"layers": 12.0, "fan_in": 768.0, "x": 0.25}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.02", 0.02),
        ("1e-3", 1e-3),
        ("0.02 / sqrt(2 * layers)", 0.02 / math.sqrt(24.0)),
        ("(2 / 5 / fan_in) ** 0.5", math.sqrt(2 / (5 * 768))),
        ("-x", -0.25),
        ("+x", 0.25),
        ("2 ** -2", 0.25),
        ("layers // 5", 2.0),
        ("max(1, min(layers, 3)) + exp(0) + log(e)", 5.0),
        ("inf", math.inf),
        ("2 * pi", 2 * math.pi),
        (" 3 - 1 - 1 ", 1.0),
    ],
)
def test_arithmetic_is_evaluated(text: str, value: float) -> None:
    assert evaluate(text, NAMES.__getitem__) == pytest.approx(value, rel=1e-15)


@given(
    st.recursive(
        st.floats(0.1, 10.0).map(repr) | st.sampled_from(sorted(NAMES)),
        lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        max_leaves=12,
    )
)
def test_any_arithmetic_means_what_python_means(text: str) -> None:
    try:
        expected = eval(text, {"__builtins__": {}}, NAMES)
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="cannot evaluate"):
            evaluate(text, NAMES.__getitem__)
    else:
        assert evaluate(text, NAMES.__getitem__) == expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.__class__",
        "(lambda: 1)()",
        "[1][0]",
        "'text'",
        "True",
        "1 if x else 2",
        "x and 1",
        "x < 1",
        "sqrt(x=1)",
        "print(1)",
        "x := 1",
        "1 +",
        "",
        "1j",
        "f'{x}'",
        "open",
    ],
)
def test_what_is_not_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot evaluate|unknown name|not an arithmetic"):
        evaluate(text, NAMES.__getitem__)


@pytest.mark.parametrize("text", ["1 / 0", "sqrt(-1)", "exp(1e6)", "10 ** 400", "(-8) ** (1 / 3)", "log(0)", "sqrt()"])
def test_what_is_no_real_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot evaluate"):
        evaluate(text, NAMES.__getitem__)


def test_a_power_takes_no_time_and_no_memory() -> None:
    with pytest.raises(ValueError, match="cannot evaluate"):
        evaluate("9 ** 9 ** 9 ** 9", NAMES.__getitem__)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot evaluate|not an arithmetic"):
        evaluate("(" * 5000 + "1" + ")" * 5000, NAMES.__getitem__)
    with pytest.raises(ValueError, match=r"cannot evaluate|not an arithmetic"):
        evaluate("-" * 100_000 + "1", NAMES.__getitem__)


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown name 'depth' in '0.02 / depth'"):
        evaluate("0.02 / depth", NAMES.__getitem__)
