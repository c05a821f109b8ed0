"""Rules and recipes: which initializer fills which parameter, as data."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from fastinit.extras import optional
from fastinit.models.initializer import Initializer
from fastinit.models.layouts import Layout
from fastinit.models.sites import Site

__all__ = ["Recipe", "RecipeLike", "Rule", "as_recipe"]

Names: TypeAlias = "str | re.Pattern[str] | tuple[str | re.Pattern[str], ...]"
Modules: TypeAlias = "str | type[nn.Module] | tuple[str | type[nn.Module], ...]"


@dataclass(frozen=True, repr=False)
class Rule:
    """An initializer, and what it is for. All selectors that are given must match; a rule with none matches everything.

    Args:
        init: the initializer; `fastinit.Leave` claims a parameter and leaves it as it is.
        name: a glob for the qualified name (``*`` crosses dots: ``"*.mlp.*.weight"``), a compiled regular expression
            that matches the whole of it, or several of either, one of which must match.
        module: the class of the owning module, or a glob for the name of its class or of one of its bases
            (``"*RMSNorm"``: what cannot be imported); or several.
        within: the same as ``module``, for any of the modules around the owning one: ``within="*Attention"``.
        param: a glob for the parameter's own name, as ``"weight"``; or several.
        where: a function of the `fastinit.Site`, for all else.
        layout: what the axes of the weight are, where its module does not tell.
        buffers: the rule is for buffers, which are left alone otherwise, and for nothing else.
        optional: no warning where the rule matches nothing.

    Example:
        >>> import fastinit, torch
        >>> fastinit.Rule(fastinit.Normal(std=0.02), module=torch.nn.Linear, param="weight")
        Rule(Normal(std=0.02), module=Linear, param='weight')
    """

    init: Initializer
    name: Names | None = None
    module: Modules | None = None
    within: Modules | None = None
    param: Names | None = None
    where: Callable[[Site], bool] | None = None
    layout: Layout | None = None
    buffers: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.init, Initializer):
            raise TypeError(f"a rule needs an initializer such as fastinit.Normal(std=0.02), but got {self.init!r}")
        # Compiled once: a model has thousands of names. object.__setattr__ is how a frozen dataclass sets its own.
        object.__setattr__(self, "_name", _matcher(self.name))
        object.__setattr__(self, "_param", _matcher(self.param))
        object.__setattr__(self, "_module", _module_test(self.module))
        object.__setattr__(self, "_within", _module_test(self.within))

    def matches(self, site: Site) -> bool:
        """Whether the rule is for this parameter."""
        own: Any = self
        return (
            site.is_buffer == self.buffers
            and (own._param is None or own._param(site.param) is not None)
            and (own._module is None or own._module(type(site.module)))
            and (own._name is None or own._name(site.name) is not None)
            and (own._within is None or any(own._within(type(parent)) for parent in site.parents))
            and (self.where is None or bool(self.where(site)))
        )

    def __repr__(self) -> str:
        given = [f"{key}={_shown(value)}" for key, value in self._given().items()]
        return f"Rule({', '.join([repr(self.init), *given])})"

    def _given(self) -> dict[str, Any]:
        """The arguments after the initializer that are not the defaults."""
        rest = fields(self)[1:]
        return {part.name: value for part in rest if (value := getattr(self, part.name)) != part.default}

    def to_dict(self) -> dict[str, Any]:
        """For a configuration file; see `Recipe.to_dict`.

        Raises:
            TypeError: the rule has a function, which no file can hold.
        """
        result: dict[str, Any] = {"init": self.init.to_dict()}
        for key, value in self._given().items():
            if callable(value) and key == "where":
                raise TypeError(f"{self!r} cannot be written to a file: `where` is a function")
            if isinstance(value, Layout):
                result[key] = {f.name: _plain(v) for f in fields(value) if (v := getattr(value, f.name)) != f.default}
            else:
                result[key] = _plain(value)
        return result

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Rule:
        """The inverse of `to_dict`.

        Raises:
            ValueError: keys or values that a rule does not have.
        """
        known = {part.name for part in fields(cls)} - {"where"}
        if not isinstance(data, Mapping) or "init" not in data or set(data) - known:
            raise ValueError(f"a rule has `init` and any of {sorted(known - {'init'})}, but got {data!r}")
        given = {key: _from_plain(value) for key, value in data.items() if key not in ("init", "layout")}
        if "layout" in data:
            try:
                given["layout"] = Layout(**{key: _from_plain(value) for key, value in data["layout"].items()})
            except (TypeError, AttributeError):
                raise ValueError(f"not a layout: {data['layout']!r}") from None
        try:
            return cls(Initializer.from_dict(data["init"]), **given)
        except TypeError as error:
            raise ValueError(f"not a rule: {data!r}: {error}") from None


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _matcher(names: Any) -> Callable[[str], object] | None:
    """A function that is None for names that none of the patterns matches."""
    if names is None:
        return None
    patterns = []
    for name in _listed(names):
        if isinstance(name, re.Pattern):
            joins = not name.flags & ~re.UNICODE and not name.groups
            patterns.append(f"(?:{name.pattern})\\Z" if joins else None)
        elif isinstance(name, str):
            patterns.append(fnmatch.translate(name))
        else:
            raise TypeError(f"a name is selected by a glob or a compiled regular expression, but got {name!r}")
    if None not in patterns:
        return re.compile("|".join(patterns)).match  # type: ignore[arg-type]
    # A regular expression with flags or groups of its own is matched by itself.
    tests = [
        n.fullmatch if isinstance(n, re.Pattern) else re.compile(fnmatch.translate(n)).match for n in _listed(names)
    ]
    return lambda text: next((True for test in tests if test(text)), None)


def _module_test(modules: Any) -> Callable[[type], bool] | None:
    """A test of a module's class, which remembers its answers: a model has few classes and many modules."""
    if modules is None:
        return None
    classes, globs = [], []
    for module in _listed(modules):
        if isinstance(module, type) and issubclass(module, nn.Module):
            classes.append(module)
        elif isinstance(module, str):
            globs.append(module)
        else:
            raise TypeError(f"a module is selected by its class or a glob for the class's name, but got {module!r}")
    answers: dict[type, bool] = {}

    def test(kind: type) -> bool:
        if kind not in answers:
            names = [base.__name__ for base in kind.__mro__ if issubclass(base, nn.Module) and base is not nn.Module]
            answers[kind] = issubclass(kind, tuple(classes)) or any(
                fnmatch.fnmatchcase(name, glob) for name in names for glob in globs
            )
        return answers[kind]

    return test


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return getattr(value, "__name__", None) or repr(value)


def _plain(value: Any) -> Any:
    """A selector as a file can hold it: classes by their names, regular expressions marked by slashes."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, re.Pattern):
        if value.flags & ~re.UNICODE:
            raise TypeError(f"{value!r} cannot be written to a file: put its flags into the pattern, as (?i)")
        return f"/{value.pattern}/"
    return value.__name__ if isinstance(value, type) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_plain(item) for item in value)
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "/":
        return re.compile(value[1:-1])
    return value


@dataclass(frozen=True, repr=False)
class Recipe:
    """Rules in order, the first match wins; with a name, a source, and names for expressions.

    Args:
        rules: the rules.
        name: what the recipe is called.
        source: where it comes from: a paper and its equation, a code base.
        constants: names with values for the expressions, as ``{"width": 1024}``; they hide the site's own.

    Recipes are built from others by `override`, which puts rules before, and `extend`, which puts them after.

    Example:
        >>> import fastinit, torch
        >>> recipe = fastinit.Recipe.from_yaml('''
        ... name: mine
        ... constants: {width: 64}
        ... rules:
        ...   - {init: {normal: {std: 1 / sqrt(width)}}, module: Linear, param: weight}
        ...   - {init: zeros, param: bias}
        ... ''')
        >>> recipe
        Recipe('mine', 2 rules)
        >>> fastinit.plan(torch.nn.Linear(2, 3), recipe).entries[0].fill
        Normal(std=0.125)
    """

    rules: tuple[Rule, ...]
    name: str = ""
    source: str = ""
    constants: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        for rule in self.rules:
            if not isinstance(rule, Rule):
                raise TypeError(f"a recipe consists of fastinit.Rule, but got {rule!r}")

    def with_constants(self, **constants: float) -> Recipe:
        """The same recipe with more names for its expressions, or other values for those it has."""
        return replace(self, constants={**self.constants, **constants})

    def override(self, *rules: Rule) -> Recipe:
        """The same recipe with rules before its own, which therefore win."""
        return replace(self, rules=rules + self.rules)

    def extend(self, *rules: Rule) -> Recipe:
        """The same recipe with rules after its own, for what those do not claim."""
        return replace(self, rules=self.rules + rules)

    def __repr__(self) -> str:
        count = f"{len(self.rules)} rule{'s' * (len(self.rules) != 1)}"
        return f"Recipe({self.name!r}, {count})" if self.name else f"Recipe({count})"

    def to_dict(self) -> dict[str, Any]:
        """As plain data: dicts, lists, strings and numbers.

        Modules become the names of their classes, and regular expressions text between slashes.

        Raises:
            TypeError: there is a function in it, which no file can hold.
        """
        given = {key: value for key in ("name", "source") if (value := getattr(self, key))}
        constants = {"constants": dict(self.constants)} if self.constants else {}
        return {**given, **constants, "rules": [rule.to_dict() for rule in self.rules]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`.

        Raises:
            ValueError: data that is no recipe; the message says which part.
        """
        if not isinstance(data, Mapping) or "rules" not in data or set(data) - {f.name for f in fields(cls)}:
            raise ValueError(f"a recipe has `rules` and perhaps name, source and constants, but got {data!r}")
        if not isinstance(data["rules"], list | tuple):
            raise ValueError(f"a recipe has a list of rules, but got {data['rules']!r}")
        rules = tuple(Rule.from_dict(rule) for rule in data["rules"])
        return cls(rules, **{key: value for key, value in data.items() if key != "rules"})

    def to_yaml(self) -> str:
        """As a YAML document; needs PyYAML."""
        text: str = optional("yaml", "recipes as YAML", "pyyaml").safe_dump(self.to_dict(), sort_keys=False, width=120)
        return text

    @classmethod
    def from_yaml(cls, source: str | Path) -> Recipe:
        """From a YAML document, or a `pathlib.Path` to a file with one; needs PyYAML."""
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        return cls.from_dict(optional("yaml", "recipes as YAML", "pyyaml").safe_load(text))


RecipeLike: TypeAlias = "Recipe | Sequence[Rule] | Mapping[str, Any]"
"""What is taken for a recipe: also its rules alone, or its `Recipe.to_dict`."""


def as_recipe(recipe: RecipeLike) -> Recipe:
    """The recipe that was meant."""
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Mapping):
        return Recipe.from_dict(recipe)
    if isinstance(recipe, Sequence) and not isinstance(recipe, str):
        return Recipe(tuple(recipe))
    raise TypeError(f"expected a fastinit.Recipe, a list of fastinit.Rule or a dict, but got {recipe!r}")
