"""The stream, a second time: docs/stream.md in plain Python, from integers and the arithmetic next door.

Nothing here comes from the extension, and nothing is fast. Section numbers are those of docs/stream.md; where it leaves
the order of operations to a header of csrc/stream, that order is followed. Only the tables of coefficients are shared:
they are read from csrc/stream/coefficients.h.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from golden.arithmetic import DOUBLE, FORMATS, SINGLE, Format, Working

COEFFICIENTS = Path(__file__).parents[2] / "csrc" / "stream" / "coefficients.h"
_hex = float.fromhex
LN2 = _hex("0x1.62e42fefa39efp-1")
ROOT_TWO_PI = _hex("0x1.40d931ff62705p+1")
INFINITY = math.inf

Word = Callable[[int], int]
"""W of section 3: the word of an element."""


# 2. Words and 5. keys


def philox(counter: Sequence[int], key: Sequence[int], rounds: int = 10) -> tuple[int, int, int, int]:
    """Philox4x32: four words from a counter of four words and a key of two."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ k0, p1 % 2**32, p0 >> 32 ^ c3 ^ k1, p0 % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


@dataclass(frozen=True)
class Key:
    """A seed and a block offset, each an unsigned 64-bit number."""

    seed: int
    offset: int = 0

    def block(self, n: int, domain: int = 0) -> tuple[int, int, int, int]:
        """Block n of the key in a domain."""
        position = (self.offset + n) % 2**64
        return philox((position % 2**32, position >> 32, domain, 0), (self.seed % 2**32, self.seed >> 32))

    def word(self, i: int, domain: int = 0) -> int:
        """The word of element i where a value takes 32 bits."""
        return self.block(i // 4, domain)[i % 4]

    def long_word(self, i: int) -> int:
        """The word of element i where a value takes 64 bits."""
        block = self.block(i // 2)
        return block[2 * (i % 2)] | block[2 * (i % 2) + 1] << 32

    def fold_in(self, data: int | str) -> Key:
        """The key with a number or a text folded in."""
        if isinstance(data, str):
            digest = hashlib.blake2b(data.encode(), digest_size=8).digest()
            return Key(fold(self.seed, int.from_bytes(digest, "little"), 2), self.offset)
        return Key(fold(self.seed, data % 2**64, 1), self.offset)


def fold(seed: int, data: int, domain: int) -> int:
    """Words 0 and 1 of block `data` of the key (seed, 0) in a domain."""
    low, high, _, _ = Key(seed).block(data, domain)
    return low | high << 32


class TorchGenerator:
    """The keys that fills draw from a torch.Generator on the CPU: MT19937 (Matsumoto and Nishimura, 1998)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed % 2**64
        self.state = [seed % 2**32]
        for j in range(1, 624):
            previous = self.state[-1]
            self.state.append((1812433253 * (previous ^ previous >> 30) + j) % 2**32)
        self.position = 624

    def random32(self) -> int:
        """The next output of the twister."""
        if self.position == 624:
            for i in range(624):
                mixed = self.state[i] & 0x80000000 | self.state[(i + 1) % 624] & 0x7FFFFFFF
                self.state[i] = self.state[(i + 397) % 624] ^ mixed >> 1 ^ (0x9908B0DF if mixed & 1 else 0)
            self.position = 0
        y = self.state[self.position]
        self.position += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        return y ^ y >> 18

    def random64(self) -> int:
        """Two outputs, the first as the upper half."""
        high = self.random32()
        return high << 32 | self.random32()

    def key(self) -> Key:
        """The key of the next fill."""
        return Key(fold(self.seed, self.random64(), 3))


# 4.7 The logarithm, and other functions of section 4


@cache
def table(name: str) -> tuple[float, ...]:
    """A table of csrc/stream/coefficients.h, constant term first."""
    found = re.search(rf"\b{name}\[\] = \{{(.*?)\}};", COEFFICIENTS.read_text(), re.DOTALL)
    assert found is not None, name
    return tuple(_hex(number.strip().rstrip("f")) for number in found[1].split(",") if number.strip())


def horner(f: Working, c: Sequence[float], x: float) -> float:
    """The polynomial with coefficients c, constant term first."""
    a = c[-1]
    for ck in reversed(c[:-1]):
        a = f.fma(a, x, ck)
    return a


def reduced(f: Working, x: float) -> tuple[float, float]:
    """The k and f of section 4.7: x = 2^k (1 + f)."""
    root_half, mantissa = (0x3F3504F3, 23) if f is SINGLE else (0x3FE6A09E667F3BCD, 52)
    bits = f.bits(x)
    k = f.signed((bits - root_half) % 2**f.word_bits) >> mantissa
    return float(k), f.from_bits((bits - (k << mantissa)) % 2**f.word_bits) - 1.0


def neg2_log1p(f: Working, x: float, rest: float) -> float:
    """-2 ln(1 + x) + rest."""
    if f is SINGLE:
        return f.fma(horner(f, table("log_f32"), x), x, rest)
    g = x / (x + 2.0)
    v = g * g
    m = f.fma(horner(f, table("log_f64"), v), v, 1.0)
    return f.fma(m * g, -4.0, rest)


def neg2_log(f: Working, x: float) -> float:
    """The logarithm L with rest = k * -c."""
    k, m = reduced(f, x)
    return neg2_log1p(f, m, f.fl(k * -f.fl(2 * LN2)))


def neg2_log_from(f: Working, x: float, start: float) -> float:
    """The logarithm L with rest = fma(k, -c, start)."""
    k, m = reduced(f, x)
    return neg2_log1p(f, m, f.fma(k, -f.fl(2 * LN2), start))


def maximum(x: float, y: float) -> float:
    """`max` of the specification, which of two zeros takes the second."""
    return x if x > y else y


def minimum(x: float, y: float) -> float:
    """`min` of the specification, which of two zeros takes the second."""
    return x if x < y else y


# 4.8 The tail of the normal: csrc/stream/tail.h


def mills(z: float) -> float:
    """The Mills ratio R(z) for z >= -1."""
    return horner(DOUBLE, table("mills_f64"), (z - 3.0) / (z + 5.0)) / (z + 2.0) if z < INFINITY else math.nan


def hazard(z: float) -> float:
    """The hazard rate h(z) = 1 / R(z)."""
    return 1.0 / mills(z)


def exp_minus(x: float) -> float:
    """The exponential e^-x for x >= 0."""
    if x >= 745.0:
        return 0.0
    k = float(math.floor(x / LN2 + 0.5))
    r = (k * _hex("0x1.62e42fecp-1") - x) + k * _hex("0x1.d1cf79abc9e3bp-32")
    total = 1.0
    for n in range(14, 0, -1):
        total = 1.0 + total * r / n
    return math.ldexp(total, -int(k))


def one_minus_exp_minus(x: float) -> float:
    """1 - e^-x for x >= 0."""
    if x > 0.5:
        return 1.0 - exp_minus(x)
    total = 1.0
    for n in range(18, 1, -1):
        total = 1.0 - total * x / n
    return x * total


def minus_log1m(x: float) -> float:
    """-ln(1 - x) for 0 <= x < 1."""
    return 0.5 * (neg2_log1p(DOUBLE, -x, 0.0) if x < 0.29 else neg2_log(DOUBLE, 1.0 - x))


def probability(z: float) -> float:
    """The tail probability Q(z)."""
    if z == INFINITY:
        return 0.0
    if z < -1.0:
        return 1.0 - probability(-z)
    return exp_minus(0.5 * z * z) / ROOT_TWO_PI * mills(z)


NODES = (0.0, _hex("0x1.13b23fd99b705p-1"), _hex("0x1.cff6ce0533a69p-1"))
WEIGHTS = (_hex("0x1.23456789abcdfp-1"), _hex("0x1.ea1da25ae415bp-2"), _hex("0x1.e539ec36e038cp-3"))


def log_ratio(z: float, d: float) -> float:
    """The difference D(z, d) = ln Q(z) - ln Q(z + d)."""
    if d == INFINITY:
        return INFINITY
    if d * hazard(z + d) > 0.5:
        logs = neg2_log(DOUBLE, mills(z + d)) - neg2_log(DOUBLE, mills(z))
        return d * z + 0.5 * d * d + 0.5 * logs
    total = WEIGHTS[0] * hazard(z + 0.5 * d)
    for node, weight in zip(NODES[1:], WEIGHTS[1:], strict=True):
        total += weight * (hazard(z + 0.5 * d * (1.0 - node)) + hazard(z + 0.5 * d * (1.0 + node)))
    return 0.5 * d * total


def solve_log_ratio(z: float, target: float) -> float:
    """The d with D(z, d) = target."""
    slope = hazard(z)
    d = 2.0 * target / (slope + math.sqrt(slope * slope + 2.0 * target))
    for _ in range(6):
        d -= (log_ratio(z, d) - target) / hazard(z + d)
    return d


# 4.3 Constants of the truncated normal: csrc/stream/plan.h


def chebyshev_node(j: int, n: int) -> float:
    """Node j of the n Chebyshev nodes of [0, 1], ascending."""
    y = (2 * j + 1) / n
    if y > 1.0:
        return 1.0 - chebyshev_node(n - 1 - j, n)
    s = y * horner(DOUBLE, table("sin_f64"), y * y)
    return s * s


def interpolate(x: Sequence[float], values: Sequence[float]) -> list[float]:
    """The coefficients of the polynomial through the points: divided differences, expanded."""
    n = len(x)
    y = list(values)
    for k in range(1, n):
        for j in range(n - 1, k - 1, -1):
            y[j] = (y[j] - y[j - 1]) / (x[j] - x[j - k])
    c = [0.0] * n
    c[0] = y[n - 1]
    for k in range(n - 2, -1, -1):
        for i in range(n - 1 - k, 0, -1):
            c[i] = c[i - 1] - x[k] * c[i]
        c[0] = y[k] - x[k] * c[0]
    return c


def bounds(target: Format, a: float, b: float) -> tuple[float, float]:
    """Lo and hi of section 4."""
    lo, hi = target.above(a), target.below(b)
    if lo <= hi:
        return lo, hi
    middle = max(-target.max, min(target.nearest(0.5 * a + 0.5 * b), target.max))
    return middle, middle


# 4. Values


@dataclass(frozen=True)
class Law:
    """A distribution with its parameters, for one target format: what turns the words of a key into values."""

    dtype: str
    parameters: tuple[float, ...]

    @property
    def parts(self) -> int:
        """Elements of the real view for one of the tensor."""
        return 2 if self.dtype.startswith("complex") else 1

    @property
    def target(self) -> Format:
        """The format of a value."""
        return FORMATS[{"complex64": "float32", "complex128": "float64"}.get(self.dtype, self.dtype)]

    @property
    def f(self) -> Working:
        """The working type."""
        return DOUBLE if self.target.bits == 64 else SINGLE

    @property
    def form(self) -> str:
        """Which of the forms of the section serves these parameters."""
        return type(self).__name__.lower()

    def element(self, w: Word, i: int) -> float:
        """Element i of the real view, in the working type."""
        raise NotImplementedError

    def codes(self, key: Key, first: int, count: int) -> list[int]:
        """The bits of elements [first, first + count) of a tensor, real and imaginary parts apart."""
        word = cache(key.word if self.f is SINGLE else key.long_word)
        elements = range(first * self.parts, (first + count) * self.parts)
        return [self.target.encode(self.target.nearest(self.element(word, i))) for i in elements]

    def clamp(self, x: float, lo: float, hi: float) -> float:
        """Section 4's clamp."""
        return minimum(maximum(x, lo), hi)


class Uniform(Law):
    """Section 4.1: a, b."""

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Lo and hi."""
        a, b = self.parameters
        hi = self.target.below(b)
        if hi >= b or hi == self.target.nearest(b):
            hi = self.target.below(math.nextafter(hi, -INFINITY))
        lo = self.target.above(a)
        return (lo, hi) if lo <= hi else (self.target.nearest(a), self.target.nearest(a))

    def element(self, w: Word, i: int) -> float:
        """One value."""
        a, b = self.parameters
        f = self.f
        scale = f.fl(math.ldexp(b - a, -f.word_bits))
        return self.clamp(f.fma(f.whole(f.signed(w(i))), scale, f.fl(0.5 * a + 0.5 * b)), *self.limits)


class Normal(Law):
    """Section 4.2: mean, std."""

    def element(self, w: Word, i: int) -> float:
        """One value of the pair that i belongs to."""
        f = self.f
        mean, std = self.parameters
        if self.parts == 2:
            std = std / math.sqrt(2.0)
        e, o = w(i - i % 2), w(i - i % 2 + 1)
        top = f.word_bits - 1

        u = f.fl(f.whole(e) + 0.5)
        r = f.fl(math.sqrt(neg2_log_from(f, u, f.word_bits * f.fl(2 * LN2))))
        r = f.fl(r * f.fl(std))
        y = math.ldexp(f.whole(f.signed(o << 2 & (1 << f.word_bits) - 1)), -top)
        z = f.fl(y * y)
        suffix = "f32" if f is SINGLE else "f64"
        sine = f.fl(y * horner(f, table(f"sin_{suffix}"), z))
        cosine = horner(f, table(f"cos_{suffix}"), z) * (-1.0 if o >> top else 1.0)
        swapped = o >> (top - 1) & 1 == 1
        return f.fma(r, sine if swapped == (i % 2 == 0) else cosine, f.fl(mean))


class TruncNormal(Law):
    """Section 4.3: mean, std, a, b; the form that serves them is an object of its own."""

    @cached_property
    def served(self) -> Law:
        """The first of the cases that applies."""
        mean, std, a, b = self.parameters
        lo, hi = bounds(self.target, a, b)
        if std == 0.0 or a == b:
            return Normal(self.dtype, (lo if mean < lo else hi if mean > hi else mean, 0.0))
        reach = (6.77 if self.f is SINGLE else 9.5) * self.f.fl(std)
        least, most = (self.target.nearest(self.f.fl(self.f.fl(mean) + way * reach)) for way in (-1.0, 1.0))
        if least >= lo and most <= hi:
            return Normal(self.dtype, (mean, std))
        if self.width * hazard(self.beta) <= (0.34 if self.f is SINGLE else 0.02):
            return Narrow(self.dtype, self.parameters)
        if self.f is SINGLE and self.beta <= 2.02:
            return Central(self.dtype, self.parameters)
        if self.alpha >= 0.0 and hazard(self.alpha) * hazard(self.alpha) >= 0.8 * self.range:
            return Tail(self.dtype, self.parameters)
        return Full(self.dtype, self.parameters)

    @property
    def form(self) -> str:
        """Point, normal, narrow, central, tail or full; and whether the law is reflected."""
        _, std, a, b = self.parameters
        if self.served.form == "normal":
            return "point" if std == 0.0 or a == b else "normal"
        return self.served.form + (", reflected" if self.standard[2] else "")

    @cached_property
    def standard(self) -> tuple[float, float, bool]:
        """Alpha, beta, and whether the law is reflected."""
        mean, std, a, b = self.parameters
        alpha, beta = (a - mean) / std, (b - mean) / std
        return (-beta, -alpha, True) if alpha + beta < 0.0 else (alpha, beta, False)

    @property
    def alpha(self) -> float:
        """The near bound in sigmas."""
        return self.standard[0]

    @property
    def beta(self) -> float:
        """The far bound in sigmas."""
        return self.standard[1]

    @property
    def width(self) -> float:
        """The distance of the bounds in sigmas."""
        return self.beta - self.alpha

    @property
    def s(self) -> float:
        """The standard deviation, negative where the law is reflected."""
        return -self.parameters[1] if self.standard[2] else self.parameters[1]

    @property
    def near(self) -> float:
        """The bound that alpha stands for."""
        return self.parameters[3] if self.standard[2] else self.parameters[2]

    @cached_property
    def total(self) -> float:
        """D(alpha, beta - alpha)."""
        return log_ratio(self.alpha, self.width)

    @property
    def range(self) -> float:
        """The part of `total` that a word reaches."""
        reach = (self.f.word_bits + 1) * LN2
        return self.total if self.total < reach else reach

    @cached_property
    def limits(self) -> tuple[float, float]:
        """Lo and hi."""
        return bounds(self.target, *self.parameters[2:])

    def element(self, w: Word, i: int) -> float:
        """One value."""
        return self.served.element(w, i)

    def placed(self, z: float, origin: float) -> float:
        """Where z sigmas from `origin` lie, clamped."""
        return self.clamp(self.f.fma(z, self.f.fl(self.s), self.f.fl(origin)), *self.limits)


class Narrow(TruncNormal):
    """An interval over which the density changes little."""

    form = "narrow"

    @cached_property
    def c(self) -> list[float]:
        """The polynomial of the offset from the bound in u."""
        share = one_minus_exp_minus(self.total)
        nodes = [chebyshev_node(j, 8) for j in range(8)]
        ratios = [solve_log_ratio(self.alpha, minus_log1m(share * u)) / u for u in nodes]
        return [self.f.fl(c * self.s) for c in interpolate(nodes, ratios)]

    def element(self, w: Word, i: int) -> float:
        """One value."""
        unit = 2.0**-self.f.word_bits
        u = self.f.fma(self.f.whole(w(i)), unit, 0.5 * unit)
        return self.clamp(self.f.fma(horner(self.f, self.c, u), u, self.f.fl(self.near)), *self.limits)


class Central(TruncNormal):
    """Bounds within 2.02 sigma."""

    form = "central"

    @cached_property
    def line(self) -> tuple[float, float]:
        """Scale and base."""
        x_a, x_b = 1.0 - 2.0 * probability(self.alpha), 1.0 - 2.0 * probability(self.beta)
        scale = (x_b - x_a) * 2.0**-32
        return self.f.fl(scale), self.f.fl(0.5 * (x_a + x_b) + 0.5 * scale)

    def element(self, w: Word, i: int) -> float:
        """One value."""
        f = self.f
        x = f.fma(f.whole(f.signed(w(i))), *self.line)
        t = f.fma(-x, x, 1.0)
        quotient = f.fl(horner(f, table("central_p"), t) / horner(f, table("central_q"), t))
        return self.placed(f.fl(x * quotient), self.parameters[0])


class Tail(TruncNormal):
    """Bounds far out on one side."""

    form = "tail"

    @cached_property
    def c(self) -> list[float]:
        """The polynomial of the offset, over w, in w."""
        nodes = [chebyshev_node(j, 11) for j in range(11)]
        ratios = [solve_log_ratio(self.alpha, self.range * x) / (2.0 * self.range * x) for x in nodes]
        coefficients, power = [], 1.0
        for c in interpolate(nodes, ratios):
            coefficients.append(self.f.fl(c / power))
            power *= 2.0 * self.range
        return coefficients

    @cached_property
    def line(self) -> tuple[float, float]:
        """Scale and base of y."""
        unit = 2.0**-self.f.word_bits
        share = one_minus_exp_minus(self.total)
        return self.f.fl(share * unit), self.f.fl(exp_minus(self.total) + 0.5 * share * unit)

    def element(self, w: Word, i: int) -> float:
        """One value."""
        f = self.f
        y = f.fma(f.whole(f.inverted(w(i))), *self.line)
        v = neg2_log(f, y)
        d = f.fl(horner(f, self.c, v) * v)
        return self.placed(d if f is SINGLE else self.refined(d, v), self.near)

    def refined(self, offset: float, w: float) -> float:
        """`refine_tail` of csrc/stream/elementary.h."""
        delta = maximum(offset, 0.0)
        z = self.alpha + delta
        r = mills(z)
        h = 1.0 / r
        quadratic = DOUBLE.fma(delta, delta, (2.0 * self.alpha) * delta)
        error = ((quadratic - neg2_log(DOUBLE, mills(self.alpha) / r)) - w) * 0.5
        return delta - error / DOUBLE.fma(error * -0.5, h - z, h)


class Full(TruncNormal):
    """Everything else."""

    form = "full"

    @cached_property
    def line(self) -> tuple[float, float, float]:
        """Scale, and the bases of p and q."""
        scale = (probability(self.alpha) - probability(self.beta)) * 2.0**-self.f.word_bits
        return (
            self.f.fl(scale),
            self.f.fl(probability(-self.alpha) + 0.5 * scale),
            self.f.fl(probability(self.beta) + 0.5 * scale),
        )

    def element(self, w: Word, i: int) -> float:
        """One value."""
        f = self.f
        scale, p_base, q_base = self.line
        p = f.fma(f.whole(w(i)), scale, p_base)
        q = f.fma(f.whole(f.inverted(w(i))), scale, q_base)
        x = f.fl(p - q)
        v = neg2_log_from(f, f.fl(p * q), f.fl(-4.0 * LN2 - 5.0))
        if v > 5.0:
            r = f.fl(f.fl(math.sqrt(f.fl(maximum(v, 0.0) + 5.0))) - 6.5)
            h = horner(f, table("probit_far"), r)
        else:
            h = horner(f, table("probit_near"), v)
        z = f.fl(x * h)
        return self.placed(z if f is SINGLE else self.refined(z, minimum(p, q), x), self.parameters[0])

    @staticmethod
    def refined(z0: float, m: float, x: float) -> float:
        """`refine_full` of csrc/stream/elementary.h."""
        z = maximum(-z0 if x < 0.0 else z0, 0.0)
        r = mills(z)
        h = 1.0 / r
        g = (neg2_log(DOUBLE, r / (m * ROOT_TWO_PI)) + z * z) * -0.5
        better = z + g / DOUBLE.fma(g * 0.5, h - z, h)
        return -better if x < 0.0 else better


LAWS: dict[str, type[Law]] = {"uniform": Uniform, "normal": Normal, "trunc_normal": TruncNormal}


def sparse_codes(dtype: str, sparsity: float, std: float, key: Key, rows: int, columns: int) -> list[int]:
    """Section 4.6: the bits of a matrix, row by row."""
    law = Normal(dtype, (0.0, std))
    codes = law.codes(key, 0, rows * columns)
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        for row in sorted(range(rows), key=lambda row: key.word(column * rows + row, 5))[:zeros]:  # sorted is stable
            place = (row * columns + column) * law.parts
            codes[place : place + law.parts] = [0] * law.parts
    return codes
