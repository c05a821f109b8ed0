"""fastinit under torch's own machinery: subclasses, modes, compilers, fake tensors, inference mode, threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

import fastinit
from fastinit import Key
from initializers import ALL, RANDOM, Initializer

# __torch_function__


class Recorder(torch.Tensor):
    """A subclass that notes which functions are called on it, and lets them run."""

    seen: list[Any] = []  # noqa: RUF012 (one list for the class is the point)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


class Refuser(torch.Tensor):
    """A subclass that answers instead of the function."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func, args, kwargs


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_subclass_sees_the_initializer_and_gets_its_tensor_back(initializer: Initializer) -> None:
    tensor = torch.empty(initializer.shape).as_subclass(Recorder)
    Recorder.seen.clear()
    assert initializer(tensor, Key(1)) is tensor
    assert Recorder.seen[0] is initializer.function
    expected = initializer(torch.empty(initializer.shape), Key(1))
    assert torch.equal(tensor.as_subclass(torch.Tensor), expected)


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_subclass_may_take_a_call_over(initializer: Initializer) -> None:
    tensor = torch.full(initializer.shape, 7.0).as_subclass(Refuser)
    function, args, kwargs = initializer(tensor, Key(1))
    assert function is initializer.function
    assert args == ()
    assert kwargs["tensor"] is tensor
    assert all(kwargs[name] == value for name, value in initializer.arguments.items())
    assert kwargs.get("generator") == (Key(1) if initializer.random else None)
    assert torch.equal(tensor.as_subclass(torch.Tensor), torch.full(initializer.shape, 7.0))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_mode_sees_every_initializer(initializer: Initializer) -> None:
    class Mode(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    tensor = torch.empty(initializer.shape)
    with Mode() as mode:
        assert initializer(tensor) is tensor
    assert mode.seen[0] is initializer.function


def test_initializers_work_under_a_default_device() -> None:
    with torch.device("meta"):
        weight = torch.nn.Linear(3, 4).weight
        assert fastinit.kaiming_uniform_(weight) is weight
    with torch.device("cpu"):
        assert fastinit.orthogonal_(torch.empty(3, 4)).isfinite().all()


# torch.compile


@pytest.fixture(autouse=True)
def fresh_dynamo() -> None:
    torch._dynamo.reset()


def compiled(initializer: Initializer, **options: Any) -> Any:
    def fill(target: Any, generator: Any) -> Any:
        return initializer(target, generator)

    return torch.compile(fill, fullgraph=True, backend="aot_eager", **options)


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_compiled_without_a_break_fills_what_eager_does_from_the_default_generator(initializer: Initializer) -> None:
    fill = compiled(initializer)
    ours, theirs = torch.empty(initializer.shape), torch.empty(initializer.shape)
    fill(ours, None)
    for _ in range(2):  # the second call runs the compiled code without tracing it
        torch.manual_seed(5)
        assert fill(ours, None) is ours
        torch.manual_seed(5)
        assert torch.equal(ours, initializer(theirs))


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_compiled_without_a_break_fills_what_eager_does_from_a_key(initializer: Initializer) -> None:
    fill = compiled(initializer)
    for key in (Key(1), Key(2), Key(-1, 2**63)):
        tensor = torch.empty(initializer.shape)
        fill(tensor, key)
        assert torch.equal(tensor, initializer(torch.empty(initializer.shape), key))


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_shards_compile_without_a_break(initializer: Initializer) -> None:
    shape = initializer.shape
    offset = (2, *[0] * (len(shape) - 1))

    def fill(local: Tensor) -> None:
        initializer(fastinit.shard(local, shape, offset), Key(4))

    part = torch.empty(3, *shape[1:])
    torch.compile(fill, fullgraph=True, backend="aot_eager")(part)
    assert torch.equal(part, initializer(torch.empty(shape), Key(4))[2:5])


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_symbolic_shapes_compile_without_a_break(initializer: Initializer) -> None:
    fill = compiled(initializer, dynamic=True)
    for rows in (6, 8, 12):
        tensor = torch.empty(rows, *initializer.shape[1:])
        fill(tensor, Key(1))
        assert torch.equal(tensor, initializer(torch.empty_like(tensor), Key(1)))


# torch's own: Inductor's imports still use what they deprecate.
INDUCTOR = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")


@INDUCTOR
def test_two_fills_of_equal_tensors_in_one_graph_differ() -> None:
    """A compiler that merges equal expressions must not merge two draws."""

    def two() -> tuple[Tensor, Tensor]:
        return fastinit.normal_(torch.zeros(8, 8)), fastinit.normal_(torch.zeros(8, 8))

    for backend in ("aot_eager", "aot_eager_decomp_partition", "inductor"):
        a, b = torch.compile(two, fullgraph=True, backend=backend)()
        assert not torch.equal(a, b)
        assert a.any()
        assert b.any()


@INDUCTOR
def test_a_model_that_initialises_itself_compiles_with_inductor() -> None:
    def build() -> Tensor:
        w1 = fastinit.kaiming_uniform_(torch.empty(16, 8))
        w2 = fastinit.trunc_normal_(torch.empty(4, 16), std=0.02)
        return torch.relu(torch.ones(2, 8) @ w1.T) @ w2.T

    torch.manual_seed(1)
    expected = build()
    torch.manual_seed(1)
    torch.testing.assert_close(torch.compile(build, fullgraph=True)(), expected)


def test_a_leaf_that_requires_grad_is_filled_in_compiled_code() -> None:
    linear = torch.nn.Linear(6, 5)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def reset() -> None:
        fastinit.kaiming_uniform_(linear.weight, a=5**0.5, generator=Key(1))

    reset()
    expected = fastinit.kaiming_uniform_(torch.empty(5, 6), a=5**0.5, generator=Key(1))
    assert torch.equal(linear.weight, expected)
    assert linear.weight.grad_fn is None


def test_a_generator_in_compiled_code_works_through_a_break() -> None:
    """Dynamo (2.13) traces no torch.Generator argument, not even of torch's own fills; with a break all is well."""
    fill = torch.compile(lambda w, g: fastinit.normal_(w, generator=g), backend="aot_eager")
    ours = fill(torch.empty(4, 4), torch.Generator().manual_seed(1))
    assert torch.equal(ours, fastinit.normal_(torch.empty(4, 4), generator=torch.Generator().manual_seed(1)))


# Fake tensors and the operators' own registrations


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_fake_tensors_are_filled_in_name_only(initializer: Initializer) -> None:
    state = torch.get_rng_state()
    with FakeTensorMode():
        tensor = torch.empty(initializer.shape)
        assert initializer(tensor) is tensor
        assert initializer(tensor, Key(1)) is tensor
    assert torch.equal(torch.get_rng_state(), state)


ops = torch.ops.fastinit
WINDOW = {"key": [1, 2], "global_shape": [9, 8], "global_offset": [2, 1]}
CHECKED: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "uniform_": (ops.uniform_, (-1.0, 1.0), WINDOW),
    "normal_": (ops.normal_, (0.0, 1.0), WINDOW),
    "trunc_normal_": (ops.trunc_normal_, (0.0, 1.0, -2.0, 2.0), WINDOW),
    "sparse_": (ops.sparse_, (0.5, 0.01), WINDOW),
    "orthogonal_": (ops.orthogonal_, (1.5, 0, [4, 5], False), WINDOW),
    "constant_": (ops.constant_, (0.5,), {}),
    "eye_": (ops.eye_, (), {"global_shape": [9, 8], "global_offset": [2, 1]}),
    "dirac_": (ops.dirac_, (2,), {}),
}


# torch's own (2.14): opcheck looks at the gradients of what it has made of the tensor.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_opcheck(name: str, requires_grad: bool) -> None:
    op, args, kwargs = CHECKED[name]
    shape = (4, 3, 5) if name == "dirac_" else (4, 3)
    torch.library.opcheck(op.default, (torch.zeros(shape, requires_grad=requires_grad), *args), kwargs)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "sparse_", "orthogonal_"])
def test_random_operators_say_that_they_are(name: str) -> None:
    """The tag keeps compilers from merging, caching or recomputing a draw."""
    assert torch.Tag.nondeterministic_seeded in CHECKED[name][0].default.tags


# Inference mode


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_inference_mode(initializer: Initializer) -> None:
    expected = initializer(torch.empty(initializer.shape), Key(1))
    ordinary = torch.empty(initializer.shape)
    with torch.inference_mode():
        inference = torch.empty(initializer.shape)
        assert initializer(inference, Key(1)) is inference
        initializer(ordinary, Key(1))
    assert torch.equal(ordinary, expected)
    assert torch.equal(inference, expected)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_an_inference_tensor_is_refused_outside_the_mode_before_anything_is_drawn(initializer: Initializer) -> None:
    with torch.inference_mode():
        tensor = torch.full(initializer.shape, 7.0)
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        initializer(tensor)
    assert (tensor == 7.0).all()
    assert torch.equal(torch.get_rng_state(), state)


# Threads


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_python_threads_fill_what_one_thread_would(initializer: Initializer) -> None:
    keys = [Key(0).fold_in(number) for number in range(16)]

    def fill(key: Key) -> Tensor:
        return initializer(torch.empty(initializer.shape), key)  # type: ignore[no-any-return]

    expected = [fill(key) for key in keys]
    with ThreadPoolExecutor(4) as pool:
        for ours, theirs in zip(pool.map(fill, keys), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_large_fills_from_several_python_threads_at_once() -> None:
    keys = [Key(number) for number in range(4)]
    expected = [fastinit.normal_(torch.empty(300_000), generator=key) for key in keys]
    start = threading.Barrier(len(keys))

    def fill(key: Key) -> Tensor:
        start.wait()
        return fastinit.normal_(torch.empty(300_000), generator=key)

    with ThreadPoolExecutor(len(keys)) as pool:
        assert all(map(torch.equal, pool.map(fill, keys), expected))


def test_threads_that_share_a_generator_never_draw_the_same_key() -> None:
    generator = torch.Generator().manual_seed(1)

    def fill(_: int) -> tuple[float, ...]:
        return tuple(fastinit.normal_(torch.empty(8), generator=generator).tolist())

    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(fill, range(400)))
    assert len(set(drawn)) == len(drawn)
