"""fastinit.patch: what stays torch's, call by call, and whose guards are honoured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import fastinit
from torchs import CALLS, Call


def reasons(counts: Any) -> set[str]:
    """Why calls were left to torch."""
    return {reason for left in counts.to_dict()["left_to_torch"].values() for reason in left}


# Errors and warnings

REFUSED: list[Callable[[], Any]] = [
    lambda: nn.init.normal_(torch.empty(3), std=-1.0),
    lambda: nn.init.normal_(torch.empty(3), std=float("nan")),
    lambda: nn.init.uniform_(torch.empty(3), 2.0, 1.0),
    lambda: nn.init.normal_(torch.empty(3, dtype=torch.int64)),
    lambda: nn.init.normal_(torch.empty(3, dtype=torch.float8_e4m3fn)),
    lambda: nn.init.orthogonal_(torch.empty(3, 3, dtype=torch.bfloat16)),
    lambda: nn.init.xavier_uniform_(torch.empty(3)),
    lambda: nn.init.xavier_uniform_(torch.empty(0, 0)),
    lambda: nn.init.kaiming_normal_(torch.empty(3, 3), mode="fan"),  # type: ignore[arg-type]
    lambda: nn.init.kaiming_normal_(torch.empty(3, 3), nonlinearity="gelu"),  # type: ignore[arg-type]
    lambda: nn.init.eye_(torch.empty(3)),
    lambda: nn.init.dirac_(torch.empty(3, 3, 3), groups=2),
    lambda: nn.init.sparse_(torch.empty(3), 0.5),
    lambda: nn.init.normal_(torch.empty(1).expand(3)),
    lambda: nn.init.normal_(3.0),  # type: ignore[arg-type]
    lambda: nn.init.normal_(torch.empty(3), generator=fastinit.Key(1)),  # type: ignore[arg-type]
    lambda: nn.init.constant_(torch.empty(3), torch.ones(2)),  # type: ignore[arg-type]
    lambda: nn.init.constant_(torch.empty(3), "1"),  # type: ignore[arg-type]
    lambda: nn.init.uniform_(),  # type: ignore[call-arg]
    lambda: nn.init.uniform_(torch.empty(3), c=1),  # type: ignore[call-arg]
    lambda: torch.empty(3).normal_(0.0, -1.0),
    lambda: torch.empty(3).normal_(0.0, 1.0, 2.0),  # type: ignore[call-arg, arg-type]
    lambda: torch.empty(3).normal_(0.0, mean=1.0),  # type: ignore[misc]
    lambda: torch.empty(3).normal_("0"),  # type: ignore[arg-type]
    lambda: torch.empty(3).uniform_(low=1.0),  # type: ignore[call-arg]
    lambda: torch.empty(3, dtype=torch.int64).uniform_(),
    lambda: nn.Parameter(torch.empty(3)).normal_(),
]


@pytest.mark.parametrize("call", REFUSED)
def test_errors_are_torchs(call: Callable[[], Any]) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011 (whatever it is)
        call()
    with fastinit.patch() as counts, pytest.raises(type(theirs.value)) as ours:
        call()
    assert str(ours.value) == str(theirs.value)
    assert type(ours.value) is type(theirs.value)
    assert ours.value.__context__ is None
    assert counts.to_dict()["accelerated"].keys() <= {"Tensor.normal_"}  # on the way, by orthogonal_


def test_what_torch_accepts_and_fastinit_refuses_is_done_by_torch() -> None:
    mean: Any = torch.tensor(2.0)
    torch.manual_seed(1)
    expected = torch.empty(4).normal_(mean)
    torch.manual_seed(1)
    with fastinit.patch(defer=False) as counts:
        assert torch.equal(torch.empty(4).normal_(mean), expected)
        assert nn.init.sparse_(torch.empty(4, 4), -0.5).isfinite().all()  # zeros all rows but some
    assert counts.to_dict()["left_to_torch"] == {"Tensor.normal_": {"arguments": 1}, "sparse_": {"arguments": 1}}


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "another thread"])
def test_the_warning_about_no_elements_points_at_the_caller(name: str, inside: bool) -> None:
    tensor = torch.empty(0, 3)

    def fill() -> Tensor:
        return getattr(nn.init, name)(tensor)  # type: ignore[no-any-return]

    with fastinit.patch(), warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        assert (fill() if inside else pool.submit(fill).result()) is tensor
    assert [str(warning.message) for warning in caught] == ["Initializing zero-element tensors is a no-op"]
    assert caught[0].filename == __file__


def test_tensors_without_elements_draw_nothing() -> None:
    state = torch.get_rng_state()
    with fastinit.patch() as counts:
        nn.init.normal_(torch.empty(0, 3))
        torch.empty(0).uniform_()
    assert torch.equal(torch.get_rng_state(), state)
    assert reasons(counts) == {"no elements"}


# Tensors


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_meta_tensors_stay_untouched(call: Call) -> None:
    state = torch.get_rng_state()
    tensor = torch.empty(call.shape, device="meta")
    with fastinit.patch() as counts:
        assert call.torchs(tensor) is tensor
    assert "the device meta" in reasons(counts)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_fake_tensors(call: Call) -> None:
    with fastinit.patch() as counts, FakeTensorMode():
        tensor = torch.empty(call.shape)
        if call.name == "trunc_normal_":  # torch's own needs values
            tensor.normal_()
        elif call.name not in ("sparse_", "orthogonal_"):
            assert call.torchs(tensor) is tensor
    assert counts.calls == 0


class Subclass(torch.Tensor):
    """A subclass that notes what is called on it."""

    seen: list[Any] = []  # noqa: RUF012 (one list for the class is the point)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def test_subclasses_are_torchs_and_see_what_they_always_see() -> None:
    tensor = torch.empty(4).as_subclass(Subclass)
    Subclass.seen.clear()
    with fastinit.patch() as counts:
        assert nn.init.normal_(tensor) is tensor
        tensor.uniform_()
    assert nn.init.normal_ in Subclass.seen
    assert {"normal_", "uniform_"} <= {func.__name__ for func in Subclass.seen}
    assert reasons(counts) == {"a subclass"}


def test_sparse_tensors_are_torchs() -> None:
    tensor = torch.ones(3, 4).to_sparse()
    with fastinit.patch() as counts:
        nn.init.zeros_(tensor)
    assert not tensor.to_dense().any()
    assert reasons(counts) == {"the layout"}


def test_quantised_tensors_are_torchs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
    with fastinit.patch() as counts:
        nn.init.constant_(tensor, 2.0)
    assert reasons(counts) == {"the type qint8"}
    assert (tensor.dequantize() == 2.0).all()


def test_uninitialized_parameters_of_lazy_modules() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lazy = nn.LazyLinear(5)
    with fastinit.patch() as counts:
        lazy(torch.ones(2, 3))
    assert lazy.weight.shape == (5, 3)
    assert counts.calls == 2


def test_what_autograd_would_record_is_torchs() -> None:
    leaf = nn.Parameter(torch.empty(3))
    with fastinit.patch() as counts:
        made = leaf * 1
        made.normal_()
        with torch.no_grad():
            leaf.normal_()
    assert type(made.grad_fn).__name__ == "NormalBackward0"
    assert reasons(counts) == {"autograd"}
    assert counts.calls == 1


# Modes


class EmptyInit(TorchFunctionMode):
    """What Lightning does for ``empty_init=True``: functions that say they are torch.nn.init's do nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)


def test_lightnings_empty_init_skips_what_it_always_skips() -> None:
    def build() -> dict[str, bool]:
        written = {}
        with EmptyInit():
            for call in CALLS:
                tensor = torch.full(call.shape, 7.0)
                assert call.torchs(tensor) is tensor
                written[call.name] = not bool((tensor == 7.0).all())
        return written

    without = build()
    with fastinit.patch() as counts:
        assert build() == without
    assert [name for name, written in without.items() if not written] == [
        "uniform_",
        "normal_",
        "constant_",
        "kaiming_uniform_",
    ]
    assert "a torch function mode" in reasons(counts)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_default_device_is_no_obstacle(call: Call) -> None:
    torch.manual_seed(3)
    expected = call.fastinits()
    torch.manual_seed(3)
    with fastinit.patch() as counts, torch.device("cpu"):
        assert torch.equal(call.torchs(), expected)
    assert counts.left == 0


def test_a_model_on_meta_stays_there() -> None:
    state = torch.get_rng_state()
    with fastinit.patch() as counts, torch.device("meta"):
        model = nn.Linear(3, 4)
    assert model.weight.is_meta
    assert reasons(counts) == {"the device meta"}
    assert torch.equal(torch.get_rng_state(), state)


def test_a_mode_that_watches_sees_the_names_it_always_sees() -> None:
    class Watching(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.__name__ != "__get__":  # attributes of tensors: guards look at other ones than torch does
                self.seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    def seen() -> list[str]:
        tensor = torch.empty(3, 4)
        with Watching() as mode:
            nn.init.normal_(tensor)
            nn.init.xavier_normal_(tensor)
            nn.init.zeros_(tensor)
            tensor.uniform_()
        return list(mode.seen)

    without = seen()
    with fastinit.patch():
        assert seen() == without


def test_a_dispatch_mode_sees_torchs_operators() -> None:
    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.seen: list[str] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with fastinit.patch() as counts, Watching() as mode:
        nn.init.normal_(torch.empty(3))
    assert "aten.normal_.default" in mode.seen
    assert reasons(counts) == {"a torch dispatch mode"}


def test_function_transforms_are_torchs() -> None:
    def noise(x: Tensor) -> Tensor:
        return x + torch.empty_like(x).normal_()

    with fastinit.patch() as counts:
        result = torch.vmap(noise, randomness="different")(torch.zeros(3, 4))
        torch.func.grad(lambda x: (x + torch.empty_like(x).uniform_()).sum())(torch.zeros(3))
    assert len(set(result.flatten().tolist())) == 12
    assert reasons(counts) == {"a function transform"}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own use of it
def test_forward_mode_differentiation_is_torchs() -> None:
    from torch.autograd import forward_ad

    with fastinit.patch() as counts, forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(3), torch.ones(3))  # type: ignore[no-untyped-call]
        dual.normal_()
        assert (forward_ad.unpack_dual(dual).tangent == 0.0).all()  # type: ignore[no-untyped-call]
    assert reasons(counts) == {"forward-mode differentiation"}


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated", "ignore::torch.jit.TracerWarning")
def test_tracing_is_torchs() -> None:
    with fastinit.patch() as counts:
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            lambda x: x + torch.empty(3).uniform_(), torch.zeros(3), check_trace=False
        )
    assert "aten::uniform_" in str(traced.graph)
    assert reasons(counts) == {"tracing"}


@pytest.mark.parametrize("name", ["uniform_", "normal_", "ones_", "xavier_normal_", "kaiming_uniform_"])
def test_compiled_code_is_torchs_and_stays_what_it_is(name: str) -> None:
    torch._dynamo.reset()
    fill = torch.compile(
        lambda tensor: getattr(nn.init, name)(tensor).mul_(tensor.normal_()), fullgraph=True, backend="aot_eager"
    )
    torch.manual_seed(1)
    with fastinit.patch() as counts:
        inside = fill(torch.empty(4, 4))
    torch.manual_seed(1)
    outside = fill(torch.empty(4, 4))
    torch._dynamo.reset()
    torch.manual_seed(1)
    assert torch.equal(inside, fill(torch.empty(4, 4)))
    assert torch.equal(inside, outside)
    assert counts.calls == 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_scripted_code_is_torchs() -> None:
    def fill(tensor: Tensor) -> Tensor:
        return nn.init.xavier_normal_(nn.init.uniform_(tensor, 0.0, 1.0), 1.0)

    with fastinit.patch() as counts:
        scripted = torch.jit.script(fill)
        assert scripted(torch.empty(3, 4)).isfinite().all()
    assert counts.calls == 0


# Initialisation that is skipped


def test_skip_init() -> None:
    with fastinit.patch() as counts:
        module = nn.utils.skip_init(nn.Linear, 4, 5)  # type: ignore[no-untyped-call]
    assert module.weight.device.type == "cpu"
    assert reasons(counts) == {"the device meta"}
    assert counts.calls == 0


def test_parameters_that_go_to_meta_when_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What accelerate's ``init_empty_weights`` does."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, None if parameter is None else nn.Parameter(parameter.to("meta")))

    monkeypatch.setattr(nn.Module, "register_parameter", on_meta)
    with fastinit.patch() as counts:
        assert nn.Linear(3, 4).weight.is_meta
    assert reasons(counts) == {"the device meta"}


# transformers


@pytest.fixture(scope="module")
def gpt2() -> Callable[[], nn.Module]:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=16, vocab_size=64, n_positions=32, bos_token_id=None, eos_token_id=None
    )

    def build() -> nn.Module:
        model: nn.Module = transformers.GPT2LMHeadModel(config)
        return model

    build()
    return build


def test_a_model_of_transformers_is_fastinits_from_end_to_end(gpt2: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    with fastinit.patch() as counts:
        model = gpt2()
    assert counts.left == 0
    assert counts.elements > 2 * sum(p.numel() for p in model.parameters() if p.ndim > 1)  # by default, then by rule
    weight = model.get_parameter("transformer.h.0.mlp.c_proj.weight")
    assert weight.std().item() == pytest.approx(0.02 / 4**0.5, rel=0.1)
    torch.manual_seed(1)
    with fastinit.patch():
        assert all(map(torch.equal, gpt2().parameters(), model.parameters()))
    torch.manual_seed(1)
    assert not torch.equal(gpt2().get_parameter("transformer.h.0.mlp.c_proj.weight"), weight)


def test_loaded_parameters_are_left_alone() -> None:
    initialization = pytest.importorskip("transformers.initialization")
    loaded = torch.full((3, 4), 7.0)
    loaded._is_hf_initialized = True  # type: ignore[attr-defined]
    with fastinit.patch() as counts:
        for call in CALLS:
            if len(call.shape) == 2:
                getattr(initialization, call.name)(loaded, **call.arguments)
        with initialization.guard_torch_init_functions():
            nn.init.xavier_uniform_(loaded)
            nn.init.normal_(fresh := torch.empty(3))
        assert (loaded == 7.0).all()
        assert counts.calls == 1
        assert fresh.isfinite().all()
        with initialization.no_init_weights():
            nn.init.ones_(loaded)
        assert (loaded == 7.0).all()
        nn.init.ones_(loaded)
    assert (loaded == 1.0).all()


def test_a_patch_that_ends_within_transformers_guards_leaves_them_whole() -> None:
    initialization = pytest.importorskip("transformers.initialization")
    before = nn.init.normal_, nn.init.normal_.__code__
    with initialization.guard_torch_init_functions():
        with fastinit.patch() as counts:
            nn.init.normal_(torch.empty(3))
        assert nn.init.normal_ is initialization.normal_
    assert counts.calls == 1
    assert (nn.init.normal_, nn.init.normal_.__code__) == before
