"""What an initializer is as a value: arguments without a tensor, to be put into rules, printed and written to files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from torch import Tensor

from fastinit.dispatch import Source
from fastinit.many import Law
from fastinit.shards import Shard

if TYPE_CHECKING:
    from fastinit.models.sites import Site

__all__ = ["Initializer", "Number"]

Number: TypeAlias = "float | str | Callable[[Site], float]"
"""A number, an expression over what a parameter's site knows (see `fastinit.Site`), or a function of the site."""

KINDS: dict[str, type[Initializer]] = {}
"""Every initializer by the name that files call it: that of its function without the underscore."""


@dataclass(frozen=True, repr=False)
class Initializer:
    """The arguments of an initializer without its tensor: comparable, printable, and independent of any model.

    `at` makes of it, for one parameter, an initializer whose arguments are plain numbers. That one can say what the
    parameter will hold, and fill it.
    """

    random: ClassVar[bool] = True
    """Whether what it writes depends on a key."""

    judged: ClassVar[bool] = True
    """Whether it can be tried without writing: on the empty part of a tensor."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            KINDS[_snake(cls.__name__)] = cls

    def at(self, site: Site) -> Initializer:
        """This initializer for one parameter: fans, depth and expressions replaced by numbers.

        Raises:
            ValueError: what the parameter's shape forbids, or an expression that cannot be evaluated; the message
                starts with the parameter's name.
            RuntimeError: numbers that no fill accepts, as a negative standard deviation.
        """
        try:
            return self._at(site)
        except (ValueError, RuntimeError) as error:
            raise type(error)(f"{site.name}: {error}") from error

    def _at(self, site: Site) -> Initializer:
        return self

    @property
    def law(self) -> Law | None:
        """The law of ``fill_many`` that it is once its arguments are numbers; None where it needs a call of its own."""
        return None

    def fill(self, target: Tensor | Shard, generator: Source) -> None:
        """Fill one tensor; for those that are no law."""
        raise NotImplementedError(f"{type(self).__name__} must be resolved by at() first")

    def moments(self, shape: tuple[int, ...]) -> tuple[float, float] | None:
        """Mean and standard deviation of an element of a tensor of this shape; None where they are not known."""
        return None

    def support(self) -> tuple[float, float] | None:
        """The least and the greatest value there can be; None where nothing bounds them."""
        return None

    def cdf(self, x: Tensor) -> Tensor | None:
        """P(element <= x) for float64 ``x``, where the elements are independent and have a density; else None."""
        return None

    def numbers(self, *values: Number) -> tuple[float, ...]:
        """The arguments of a resolved initializer as floats."""
        for value in values:
            if not isinstance(value, float | int):
                raise TypeError(f"{self!r} has no value before at() has seen a parameter")
        return tuple(float(value) for value in values)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._given().items())})"

    def to_dict(self) -> dict[str, Any] | str:
        """For a configuration file: ``{"normal": {"std": 0.02}}``, or ``"zeros"`` where there are no arguments.

        Raises:
            TypeError: an argument is a function, which no file can hold.
        """
        given = self._given()
        for name, value in given.items():
            if callable(value):
                raise TypeError(f"{self!r} cannot be written to a file: {name} is a function; use an expression")
        return {_snake(type(self).__name__): given} if given else _snake(type(self).__name__)

    @staticmethod
    def from_dict(data: Mapping[str, Any] | str) -> Initializer:
        """The inverse of `to_dict`.

        Raises:
            ValueError: an unknown name, or arguments that the initializer does not have.
        """
        if isinstance(data, str):
            data = {data: {}}
        if not isinstance(data, Mapping) or len(data) != 1:
            raise ValueError(f"expected the name of an initializer, or one name and its arguments, but got {data!r}")
        ((name, arguments),) = data.items()
        if name not in KINDS:
            raise ValueError(f"unknown initializer {name!r}; known are {', '.join(sorted(KINDS))}")
        if not isinstance(arguments, Mapping | None):
            raise ValueError(f"the arguments of {name} must be named, but got {arguments!r}")
        try:
            return KINDS[name](**(arguments or {}))
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None

    def _given(self) -> dict[str, Any]:
        """The arguments that are not the defaults."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.default is MISSING
        }


def _snake(name: str) -> str:
    """``TruncNormalTF`` as trunc_normal_tf: the function's name without its underscore."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
