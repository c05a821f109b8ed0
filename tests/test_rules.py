"""Rules and recipes: what a selector selects, which rule wins, and what becomes of parameters and rules left over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fastinit
from fastinit import Layout, Leave, Normal, Ones, Recipe, Rule, Site, Zeros


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4))


class LlamaRMSNorm(RMSNorm):
    pass


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.o_proj = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.norm, self.mlp = SelfAttention(), LlamaRMSNorm(), nn.Linear(4, 4)


def model() -> nn.Module:
    with torch.device("meta"):
        root = nn.Module()
        root.layers = nn.ModuleList(Block() for _ in range(2))
        root.stats = nn.BatchNorm1d(4)
    return root


NAMES = {
    f"layers.{i}.{rest}"
    for i in range(2)
    for rest in (
        "attn.q_proj.weight",
        "attn.q_proj.bias",
        "attn.o_proj.weight",
        "norm.weight",
        "mlp.weight",
        "mlp.bias",
    )
} | {"stats.weight", "stats.bias"}


def selected(**selectors: Any) -> set[str]:
    """The names that a rule with these selectors claims."""
    plan = fastinit.plan(model(), [Rule(Zeros(), **selectors, optional=True), Rule(Leave(), optional=True)])
    return {entry.name for entry in plan.entries if entry.fill is not None}


def matching(pattern: str) -> set[str]:
    return {name for name in NAMES if re.fullmatch(pattern, name)}


def in_the_second_layer(site: Site) -> bool:
    return site.layer == 1


@pytest.mark.parametrize(
    ("selectors", "pattern"),
    [
        ({}, ".*"),
        ({"name": "*.bias"}, r".*\.bias"),
        ({"name": "layers.[01].attn.*"}, r".*attn.*"),
        ({"name": "attn"}, "nothing"),
        ({"name": re.compile(r"layers\.\d+\.mlp\..*")}, r".*mlp.*"),
        ({"name": re.compile(r"layers")}, "nothing"),  # the whole name must match
        ({"name": re.compile(r"LAYERS\..*MLP.*", re.IGNORECASE)}, r".*mlp.*"),
        ({"name": ("*.mlp.*", re.compile(r"stats\..*"))}, r"(.*mlp|stats).*"),
        ({"name": ("*.mlp.*", re.compile(r"STATS\..*", re.I))}, r"(.*mlp|stats).*"),
        ({"name": re.compile("stats.weight|nothing")}, r"stats\.weight"),
        ({"name": (re.compile(r"(x)\1"), re.compile(r".*\.(norm|mlp)\.(w)eigh(t)"))}, r".*\.(norm|mlp)\.weight"),
        ({"name": (re.compile(r"(l).*\1p.*"), re.compile(r"(s)tat\1.*"))}, r"(.*mlp|stats).*"),
        ({"module": nn.Linear}, r".*(proj|mlp)\..*"),
        ({"module": "Linear"}, r".*(proj|mlp)\..*"),
        ({"module": "*RMSNorm"}, r".*\.norm\..*"),
        ({"module": RMSNorm}, r".*\.norm\..*"),
        ({"module": "RMSNorm"}, r".*\.norm\..*"),  # a base's name counts
        ({"module": "Module"}, "nothing"),
        ({"module": (nn.BatchNorm1d, "LlamaRMSNorm")}, r"(stats|.*\.norm)\..*"),
        ({"within": "*Attention"}, r".*attn.*"),
        ({"within": Block, "param": "bias"}, r"layers.*\.bias"),
        ({"param": "weight"}, r".*\.weight"),
        ({"param": ("w*", "nothing")}, r".*\.weight"),
        ({"where": in_the_second_layer}, r"layers\.1.*"),
        ({"module": nn.Linear, "param": "weight", "name": "*.1.*"}, r"layers\.1.*(proj|mlp)\.weight"),
    ],
    ids=lambda value: str(
        {k: getattr(v, "__name__", v) for k, v in value.items()} if isinstance(value, dict) else value
    ),
)
def test_a_rule_claims_what_all_its_selectors_match(selectors: dict[str, Any], pattern: str) -> None:
    assert selected(**selectors) == matching(pattern)


def test_the_first_match_wins() -> None:
    rules = [Rule(Ones(), name="*.norm.weight"), Rule(Zeros(), param="bias"), Rule(Normal(std=0.02))]
    plan = fastinit.plan(model(), rules)
    fills = {entry.name: repr(entry.fill) for entry in plan.entries}
    assert fills["layers.0.norm.weight"] == "Constant(val=1.0)"
    assert fills["stats.bias"] == "Constant()"
    assert fills["stats.weight"] == "Normal(std=0.02)"
    assert {id(entry.rule) for entry in plan.entries} == {id(rule) for rule in rules}


def test_parameters_without_a_rule_are_an_error_that_lists_them() -> None:
    with pytest.raises(ValueError, match=r"3 parameters match no rule of Recipe\('mine', 2 rules\)") as caught:
        fastinit.plan(model(), Recipe((Rule(Ones(), param="weight"), Rule(Zeros(), name="*.mlp.bias")), name="mine"))
    assert "  layers.1.attn.q_proj.bias  (4,)  Linear" in str(caught.value)
    assert "mlp" not in str(caught.value)
    assert str(caught.value).count("\n") == 3


def test_a_rule_that_claims_nothing_is_warned_of_unless_it_is_optional() -> None:
    rules = [Rule(Zeros()), Rule(Ones(), name="lm_head.*")]
    with pytest.warns(UserWarning, match=r"rules of Recipe\(2 rules\) that match nothing: Rule\(Ones") as caught:
        plan = fastinit.plan(model(), rules)
    with pytest.warns(UserWarning, match="match nothing") as again:
        fastinit.initialize_(model(), rules, device="meta")
    assert caught[0].filename == again[0].filename == __file__
    assert plan.unused == (rules[1],)
    assert fastinit.plan(model(), [Rule(Zeros()), Rule(Ones(), name="lm_head.*", optional=True)]).unused == ()


def test_buffers_are_left_alone_unless_a_rule_is_for_them() -> None:
    names = [entry.name for entry in fastinit.plan(model(), [Rule(Zeros())]).entries]
    assert "stats.running_mean" not in names
    rules = [Rule(Ones(), name="*running_var", buffers=True), Rule(Zeros())]
    fills = {entry.name: repr(entry.fill) for entry in fastinit.plan(model(), rules).entries}
    assert fills["stats.running_var"] == "Constant(val=1.0)"
    assert "stats.running_mean" not in fills


def test_recipes_are_built_from_others() -> None:
    base = Recipe((Rule(Zeros()),), name="base", source="here", constants={"a": 1.0, "b": 1.0})
    before = base.override(Rule(Ones(), param="weight"))
    assert [repr(rule.init) for rule in before.rules] == ["Ones()", "Zeros()"]
    assert (before.name, before.source, before.constants) == ("base", "here", base.constants)
    after = base.extend(Rule(Ones()), Rule(Leave()))
    assert [repr(rule.init) for rule in after.rules] == ["Zeros()", "Ones()", "Leave()"]
    assert base.with_constants(a=3.0).constants == {"a": 3.0, "b": 1.0}
    assert base.constants == {"a": 1.0, "b": 1.0}


RECIPE = Recipe(
    (
        Rule(
            fastinit.XavierUniform("1 / width"),
            name=("*.qkv.weight", re.compile(r"h\.\d+\.qkv")),
            layout=Layout(split=(4, 2, 2)),
        ),
        Rule(fastinit.TruncNormal(std=0.02, a=-0.04, b=0.04), module=("*Embedding", nn.Linear), within="GPT*"),
        Rule(Zeros(), param="bias", optional=True),
        Rule(Ones(), buffers=True, name="*running_var"),
        Rule(Leave(), name="teacher.*"),
    ),
    name="mine",
    source="a paper, eq. 3",
    constants={"width": 64.0},
)


def test_a_recipe_survives_a_dict_and_yaml(tmp_path: Path) -> None:
    by_dict = Recipe.from_dict(RECIPE.to_dict())
    assert by_dict.to_dict() == RECIPE.to_dict()
    text = RECIPE.to_yaml()
    assert Recipe.from_yaml(text).to_dict() == RECIPE.to_dict()
    (tmp_path / "recipe.yaml").write_text(text)
    assert Recipe.from_yaml(tmp_path / "recipe.yaml").to_dict() == RECIPE.to_dict()
    assert by_dict.rules[0].name == RECIPE.rules[0].name  # the regular expression is one again
    assert by_dict.rules[0].layout == RECIPE.rules[0].layout


def test_a_recipe_from_a_file_plans_as_the_one_it_was_written_from() -> None:
    recipe = Recipe((Rule(Zeros()),)).override(Rule(Normal(std="1 / sqrt(fan_in)"), module=nn.Linear, param="weight"))
    again = Recipe.from_yaml(recipe.to_yaml())
    assert str(fastinit.plan(model(), again, seed=1)) == str(fastinit.plan(model(), recipe, seed=1))


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Zeros(), where=lambda site: True),
        Rule(Normal(std=lambda site: 1.0)),
        Rule(Zeros(), name=re.compile("a", re.I)),
    ],
    ids=["where", "number", "flags"],
)
def test_functions_and_flags_fit_no_file(rule: Rule) -> None:
    with pytest.raises(TypeError, match="cannot be written to a file"):
        Recipe((rule,)).to_dict()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"rules": [{"name": "*"}]},
        {"rules": [{"init": "zeros", "nmae": "*"}]},
        {"rules": [{"init": "zeros", "where": "site"}]},
        {"rules": [{"init": "zeros", "layout": {"axis": 3}}]},
        {"rules": [{"init": "zeros", "layout": 3}]},
        {"rules": [], "colour": "red"},
        {"rules": ["zeros"]},
        {"rules": None},
        {"rules": [{"init": "zeros", "name": 5}]},
        {"rules": [{"init": "zeros", "layout": {"split": "a"}}]},
        [],
    ],
    ids=str,
)
def test_what_is_no_recipe_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"recipe has|rule has|layout|not a rule"):
        Recipe.from_dict(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rule("zeros"), "needs an initializer"),  # type: ignore[arg-type]
        (lambda: Rule(Zeros(), name=3), "selected by a glob"),  # type: ignore[arg-type]
        (lambda: Rule(Zeros(), module=int), "selected by its class"),  # type: ignore[arg-type]
        (lambda: Recipe(("zeros",)), "consists of fastinit.Rule"),  # type: ignore[arg-type]
        (lambda: fastinit.plan(model(), "gpt2"), "expected a fastinit.Recipe"),  # type: ignore[arg-type]
    ],
    ids=["initializer", "name", "module", "rule", "recipe"],
)
def test_what_is_no_selector_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_rule_shows_what_it_was_given() -> None:
    rule = Rule(Normal(std=0.02), module=(nn.Linear, "*Conv"), name=re.compile("a"), optional=True)
    assert repr(rule) == "Rule(Normal(std=0.02), name=re.compile('a'), module=(Linear, '*Conv'), optional=True)"
