"""Reproduce every polynomial coefficient of csrc/stream/coefficients.h.

    python tools/fit_coefficients.py > csrc/stream/coefficients.h

Needs mpmath only. Each approximation is a minimax fit by the Remez exchange (Remez 1934; Cheney,
Introduction to Approximation Theory, ch. 3) in 50-digit arithmetic, or, where double precision leaves room to spare,
interpolation at Chebyshev nodes. The stream is a format: a change here changes values, so it is a new STREAM_VERSION.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from mpmath import mp, mpf

mp.dps = 50
Fn = Callable[[mpf], mpf]
FAR_CENTRE = mpf("6.5")
QUARTER = mp.pi / 4
TINY = mpf(10) ** -9  # keeps a weight that vanishes at 0 positive


def nodes(lo: mpf, hi: mpf, n: int) -> list[mpf]:
    """The n Chebyshev nodes of [lo, hi], ascending."""
    return [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * n)) for k in range(n)]


def solve(rows: list[list[mpf]], rhs: list[mpf]) -> list[mpf]:
    """The solution of a square linear system."""
    return list(mp.lu_solve(mp.matrix(rows), mp.matrix(rhs)))


def horner(c: list[mpf], x: mpf) -> mpf:
    """The polynomial with coefficients c, constant first, at x."""
    acc = mpf(0)
    for a in reversed(c):
        acc = acc * x + a
    return acc


def interpolate(f: Fn, lo: mpf, hi: mpf, degree: int) -> list[mpf]:
    """The polynomial of the given degree through f at the Chebyshev nodes of [lo, hi]."""
    xs = nodes(mpf(lo), mpf(hi), degree + 1)
    return solve([[x**k for k in range(degree + 1)] for x in xs], [f(x) for x in xs])


def remez(f: Fn, lo: mpf, hi: mpf, degree: int, weight: Fn, grid: int = 400) -> tuple[list[mpf], mpf]:
    """Coefficients, constant first, minimising max weight(x) |p(x) - f(x)| on [lo, hi], and that maximum."""
    a, b = mpf(lo), mpf(hi)
    xs = [a + (b - a) * (1 - mp.cos(mp.pi * k / grid)) / 2 for k in range(grid + 1)]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    ref = [round(k * grid / (degree + 1)) for k in range(degree + 2)]
    coef: list[mpf] = []
    for _ in range(30):
        rows = [[xs[i] ** k for k in range(degree + 1)] + [(-1) ** j / ws[i]] for j, i in enumerate(ref)]
        *coef, level = solve(rows, [fs[i] for i in ref])
        err = [w * (horner(coef, x) - y) for x, y, w in zip(xs, fs, ws, strict=True)]
        # One extremum per run of equal sign; drop the weaker end while there are too many.
        peaks: list[int] = []
        for i, e in enumerate(err):
            if peaks and (err[peaks[-1]] > 0) == (e > 0):
                if abs(e) > abs(err[peaks[-1]]):
                    peaks[-1] = i
            else:
                peaks.append(i)
        while len(peaks) > degree + 2:
            peaks.pop(0 if abs(err[peaks[0]]) < abs(err[peaks[-1]]) else -1)
        if len(peaks) < degree + 2:
            raise ArithmeticError(f"Remez lost the alternation at degree {degree}")
        worst = max(abs(e) for e in err)
        if peaks == ref or worst <= abs(level) * mpf("1.0001"):
            break
        ref = peaks
    return coef, worst


def rational(f: Fn, lo: mpf, hi: mpf, p: int, q: int) -> list[mpf]:
    """P (p + 1 coefficients) then Q (q, the constant being 1), with P / Q = f at p + q + 1 points of [lo, hi].

    The points are Chebyshev nodes in ln x: f has a logarithm at 0, which crowds the extrema of the error towards lo.
    """
    rows, rhs = [], []
    for log_x in nodes(mp.log(lo), mp.log(hi), p + q + 1):
        x = mp.exp(log_x)
        y = f(x)
        rows.append([x**k for k in range(p + 1)] + [-y * x**k for k in range(1, q + 1)])
        rhs.append(y)
    return solve(rows, rhs)


# ---- the functions that are approximated -----------------------------------------------------------------------------


def log_tail(z: mpf) -> mpf:
    """Ln Q(z), Q the upper tail of the standard normal."""
    return mp.log(mp.erfc(z / mp.sqrt(2)) / 2)


def solve_tail(log_q: mpf) -> mpf:
    """The z >= 0 with ln Q(z) = log_q, by Newton in the log domain."""
    z = mp.sqrt(-2 * log_q) if log_q < -3 else mpf(1)
    for _ in range(80):
        g = log_tail(z) - log_q
        step = g / (mp.npdf(z) / mp.exp(log_tail(z)))
        z += step
        if abs(step) < mpf(10) ** -45:
            break
    return z


def probit_ratio(w: mpf) -> mpf:
    """Z / x where x = 2 Phi(z) - 1 and w = -ln(1 - x^2) (the variable of Giles 2010)."""
    if w < mpf(10) ** -30:
        return mp.sqrt(mp.pi / 2)
    x = mp.sqrt(-mp.expm1(-w))
    return solve_tail(-w - mp.log(2 * (1 + x))) / x


def central_ratio(s: mpf) -> mpf:
    """Z / x where x = 2 Phi(z) - 1 and s = 1 - x^2."""
    return probit_ratio(-mp.log(s))


def mills(z: mpf) -> mpf:
    """Mills ratio Q(z) / phi(z)."""
    return mp.erfc(z / mp.sqrt(2)) / 2 / mp.npdf(z)


def probit_near(y: mpf) -> mpf:
    """Z / x in y = v - 5."""
    return probit_ratio((y + 5) / 2)


def probit_far(y: mpf) -> mpf:
    """Z / x in y = sqrt(v) - FAR_CENTRE."""
    return probit_ratio((y + FAR_CENTRE) ** 2 / 2)


def sine(z: mpf) -> mpf:
    """sin(pi y / 4) / y in z = y^2."""
    return mp.sin(QUARTER * mp.sqrt(z)) / mp.sqrt(z) if z else QUARTER


def cosine_less_one(z: mpf) -> mpf:
    """(cos(pi y / 4) - 1) / y^2 in z = y^2."""
    return (mp.cos(QUARTER * mp.sqrt(z)) - 1) / z if z else -QUARTER * QUARTER / 2


def atanh_excess(v: mpf) -> mpf:
    """(atanh(s) / s - 1) / s^2 in v = s^2."""
    return (mp.atanh(mp.sqrt(v)) / mp.sqrt(v) - 1) / v if v else mpf(1) / 3


def scaled_mills(t: mpf) -> mpf:
    """(z + 2) Q(z) / phi(z) in the variable t = (z - 3) / (z + 5) that maps [-1, inf) to [-1, 1)."""
    z = (3 + 5 * t) / (1 - t)
    # Beyond z = 1e4 erfc underflows even here; the asymptotic series 1/z - 1/z^3 + 3/z^5 is exact to 50 digits' need.
    return (z + 2) * (mills(z) if z < 1000 else (1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8 - 945 / z**10) / z)


# ---- emission --------------------------------------------------------------------------------------------------------


def f32(x: mpf) -> float:
    """X rounded to float32."""
    out: float = struct.unpack("f", struct.pack("f", float(x)))[0]
    return out


def literal(x: float) -> str:
    """The hexadecimal form without trailing zeros, so that it reads the same in C++ and Python."""
    mantissa, exponent = x.hex().split("p")
    return mantissa.rstrip("0").rstrip(".") + "p" + exponent


def emit(name: str, coef: list[mpf], kind: str, note: str) -> None:
    """Print one table as a C++ array, with what it approximates above it."""
    suffix = "f" if kind == "float" else ""
    print(f"\n// {note}")
    print(f"FASTINIT_CONSTANT {kind} {name}[] = {{")
    for c in coef:
        print(f"    {literal(f32(c) if kind == 'float' else float(c))}{suffix},")
    print("};")


def emit_float32() -> None:
    """The tables of float32, minimax."""
    lo, hi = mp.sqrt(mpf(1) / 2) - 1, mp.sqrt(mpf(2)) - 1
    # The constant term is exactly 1, so that ln(1 + f) keeps its relative accuracy as f goes to 0.
    c, e = remez(lambda f: (mp.log1p(f) / f - 1) / f if f else mpf(-1) / 2, lo, hi, 6, lambda f: abs(f) + TINY)
    note = f"-2 ln(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]; relative error {mp.nstr(e, 2)}"
    emit("log_f32", [-2 * v for v in [mpf(1), *c]], "float", note)

    c, e = remez(sine, 0, 1, 3, lambda z: 1 / QUARTER)
    emit("sin_f32", c, "float", f"sin(pi y / 4) / y in z = y^2 on [0, 1]; relative error {mp.nstr(e, 2)}")
    c, e = remez(cosine_less_one, 0, 1, 2, lambda z: z + TINY)
    emit("cos_f32", [mpf(1), *c], "float", f"cos(pi y / 4) in z = y^2 on [0, 1]; error {mp.nstr(e, 2)}")

    s_lo = 1 - (2 * mp.ncdf(mpf("2.02")) - 1) ** 2
    c = rational(central_ratio, s_lo, 1, 4, 4)
    grid = [s_lo ** (mpf(k) / 400) for k in range(401)]
    e = max(abs(horner(c[:5], s) / horner([mpf(1), *c[5:]], s) / central_ratio(s) - 1) for s in grid)
    note = f"P of z / x = P(s) / Q(s), x = 2 Phi(z) - 1, s = 1 - x^2, |z| <= 2.02; relative error {mp.nstr(e, 2)}"
    emit("central_p", c[:5], "float", note)
    emit("central_q", [mpf(1), *c[5:]], "float", "Q of the same, the constant term exactly 1")

    # Both in v = -2 ln(1 - x^2), which is what the shared logarithm gives; z is close to sqrt(v) in the tail.
    c, e = remez(probit_near, -5, 5, 8, lambda y: 1 / probit_near(y), 200)
    emit("probit_near", c, "float", f"z / x in v - 5, v = -2 ln(1 - x^2) in [0, 10]; relative error {mp.nstr(e, 2)}")
    lo, hi = mp.sqrt(10) - FAR_CENTRE, mp.sqrt(104) - FAR_CENTRE
    c, e = remez(probit_far, lo, hi, 11, lambda y: 1 / probit_far(y), 200)
    emit("probit_far", c, "float", f"z / x in sqrt(v) - 6.5, v in [10, 104]; relative error {mp.nstr(e, 2)}")


def emit_float64() -> None:
    """The tables of float64, by interpolation: their errors are below half a unit in the last place."""
    hi = mp.sqrt(mpf(2)) - 1
    c = interpolate(atanh_excess, 0, (hi / (2 + hi)) ** 2, 7)
    emit("log_f64", c, "double", "(atanh(s) / s - 1) / v in v = s^2, s = f / (2 + f): ln(1 + f) = 2 s (1 + v p(v))")
    emit("sin_f64", interpolate(sine, 0, 1, 8), "double", "sin(pi y / 4) / y in z = y^2 on [0, 1]")
    c = [mpf(1), *interpolate(cosine_less_one, 0, 1, 7)]
    emit("cos_f64", c, "double", "cos(pi y / 4) in z = y^2 on [0, 1]")
    c = interpolate(scaled_mills, -1, 1, 32)
    e = max(abs(horner(c, t) / scaled_mills(t) - 1) for t in (mpf(k) / 200 - 1 for k in range(400)))
    note = f"(z + 2) Q(z) / phi(z) in t = (z - 3) / (z + 5), z in [-1, inf); relative error {mp.nstr(e, 2)}"
    emit("mills_f64", c, "double", note)


def main() -> None:
    """Print the header."""
    print("// clang-format off")
    print(
        "// Written by tools/fit_coefficients.py; do not edit. Constant term first. Errors are those of the fit alone,"
    )
    print("// before rounding. A change of any number is a new stream version.")
    print('#pragma once\n\n#include "platform.h"\n\nnamespace fastinit::coefficients {')
    emit_float32()
    emit_float64()
    print("\n}  // namespace fastinit::coefficients")


if __name__ == "__main__":
    main()
