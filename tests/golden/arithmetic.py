"""IEEE-754 arithmetic in integers: every format of the stream, correctly rounded, without the extension or NumPy.

A number of any format is a Python float, which holds each of them exactly. Python's own float operations and math.sqrt
are IEEE double operations. A float32 operation is the double one rounded again: for + - * / and sqrt that is the same
as rounding once, since a double has 2 * 24 + 2 bits or more (Figueroa, "When is double rounding innocuous?", 1995). A
fused multiply-add has no such shortcut and is computed in integers.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

Ratio = tuple[int, int]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: its width, its exponent field, and what the codes at the top of it mean.

    ``kind`` is "ieee" (infinities and NaNs), "fn" (finite but for one NaN of either sign) or "fnuz" (finite but for one
    NaN in the place of negative zero).
    """

    bits: int
    exponent_bits: int
    kind: str = "ieee"

    @property
    def mantissa_bits(self) -> int:
        """Bits of the significand that are stored."""
        return self.bits - 1 - self.exponent_bits

    @property
    def bias(self) -> int:
        """What the exponent field exceeds the exponent by."""
        return (1 << (self.exponent_bits - 1)) - (0 if self.kind == "fnuz" else 1)

    @property
    def sign(self) -> int:
        """The code of the sign bit alone."""
        return 1 << (self.bits - 1)

    @property
    def greatest_code(self) -> int:
        """The code of the greatest finite number."""
        return self.sign - {"ieee": 1 << self.mantissa_bits, "fn": 1, "fnuz": 0}[self.kind] - 1

    @property
    def max(self) -> float:
        """The greatest finite number."""
        return self.decode(self.greatest_code)

    def step(self, ratio: Ratio) -> int:
        """The exponent of the unit in the last place of a number of this size."""
        n, d = abs(ratio[0]), ratio[1]
        exponent = n.bit_length() - d.bit_length()
        if n << max(-exponent, 0) < d << max(exponent, 0):
            exponent -= 1
        return max(exponent, 1 - self.bias) - self.mantissa_bits

    def decode(self, code: int) -> float:
        """The finite number with this code."""
        field = (code & (self.sign - 1)) >> self.mantissa_bits
        mantissa = code & ((1 << self.mantissa_bits) - 1)
        if field > 0:
            mantissa += 1 << self.mantissa_bits
        magnitude = math.ldexp(mantissa, max(field, 1) - self.bias - self.mantissa_bits)
        return -magnitude if code & self.sign else magnitude

    def encode(self, x: float) -> int:
        """The code of a number of this format, an infinity, or a NaN; overflow becomes infinity, or else NaN."""
        negative = self.sign if math.copysign(1.0, x) < 0 else 0
        if math.isnan(x) or (math.isinf(x) and self.kind != "ieee"):
            if self.kind == "fnuz":
                return self.sign
            return (self.greatest_code + 1) | (negative if math.isinf(x) else 0)
        if math.isinf(x):
            return (self.greatest_code + 1) | negative
        if x == 0.0:
            return 0 if self.kind == "fnuz" else negative
        step = self.step(x.as_integer_ratio())
        mantissa = int(math.ldexp(abs(x), -step))
        assert math.ldexp(mantissa, step) == abs(x), "not a number of the format"
        field = step + self.mantissa_bits + self.bias if mantissa >> self.mantissa_bits else 0
        return field << self.mantissa_bits | mantissa & ((1 << self.mantissa_bits) - 1) | negative

    def nearest_ratio(self, n: int, d: int) -> float:
        """The ratio n / d, not 0, to nearest even; beyond the greatest number an infinity in any format."""
        step = self.step((n, d))
        whole, rest = divmod(abs(n) << max(-step, 0), d << max(step, 0))
        half = d << max(step, 0)
        if 2 * rest > half or (2 * rest == half and whole % 2 == 1):
            whole += 1
        if whole.bit_length() + step > 1024:
            return math.copysign(math.inf, n)
        magnitude = math.ldexp(whole, step)
        return math.copysign(magnitude if magnitude <= self.max else math.inf, n)

    def nearest(self, x: float) -> float:
        """The number of the format nearest to x, of two the even one."""
        if x == 0.0 or not math.isfinite(x):
            return x
        return self.nearest_ratio(*x.as_integer_ratio())

    def below(self, x: float) -> float:
        """The greatest number of the format that is <= x; where there is none, the least finite one."""
        if math.isinf(x):
            return x if self.kind == "ieee" else math.copysign(self.max, x)
        if x > self.max:
            return self.max
        if x < -self.max:
            return -math.inf if self.kind == "ieee" else -self.max
        if x == 0.0:
            return x
        n, d = x.as_integer_ratio()
        step = self.step((n, d))
        return math.ldexp((n << max(-step, 0)) // (d << max(step, 0)), step)

    def above(self, x: float) -> float:
        """The least number of the format that is >= x; where there is none, the greatest finite one."""
        return -self.below(-x)


FLOAT64 = Format(64, 11)
FLOAT32 = Format(32, 8)
FORMATS = {
    "float32": FLOAT32,
    "float64": FLOAT64,
    "float16": Format(16, 5),
    "bfloat16": Format(16, 8),
    "float8_e4m3fn": Format(8, 4, "fn"),
    "float8_e5m2": Format(8, 5),
    "float8_e4m3fnuz": Format(8, 4, "fnuz"),
    "float8_e5m2fnuz": Format(8, 5, "fnuz"),
}


@dataclass(frozen=True)
class Working:
    """The type in which values are computed, called F in the specification, and the width B of its words."""

    format: Format
    word_bits: int
    packed: str
    packed_word: str

    def fl(self, x: float) -> float:
        """A double rounded to this type."""
        return x if self.word_bits == 64 else self.format.nearest(x)

    def whole(self, n: int) -> float:
        """An integer rounded to this type."""
        return self.format.nearest_ratio(n, 1) if n else 0.0

    def fma(self, a: float, b: float, c: float) -> float:
        """The sum a b + c, rounded once."""
        if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
            return a * b + c
        (na, da), (nb, db), (nc, dc) = a.as_integer_ratio(), b.as_integer_ratio(), c.as_integer_ratio()
        n, d = na * nb * dc + nc * da * db, da * db * dc
        if n == 0:  # the sign of a zero: that of the sum of zeros, positive where numbers cancel
            return a * b + c if na * nb == 0 else 0.0
        return n / d if self.word_bits == 64 else self.format.nearest_ratio(n, d)  # int / int is correctly rounded

    def bits(self, x: float) -> int:
        """The bits of a number as an unsigned integer."""
        word: int = struct.unpack(self.packed_word, struct.pack(self.packed, x))[0]
        return word

    def from_bits(self, word: int) -> float:
        """The number with these bits."""
        x: float = struct.unpack(self.packed, struct.pack(self.packed_word, word))[0]
        return x

    def signed(self, word: int) -> int:
        """A word read as two's complement."""
        return word - (1 << self.word_bits) if word >> (self.word_bits - 1) else word

    def inverted(self, word: int) -> int:
        """The complement of a word."""
        return word ^ ((1 << self.word_bits) - 1)


SINGLE = Working(FLOAT32, 32, "<f", "<I")
DOUBLE = Working(FLOAT64, 64, "<d", "<Q")
