"""Several GPUs: a tensor is filled where it lies, from the generator of that place, whichever device is current."""

from __future__ import annotations

import pytest
import torch

import fastinit
from fastinit import Key, foreach
from gpu.device import agree, drawn_key, new_stream
from initializers import ALL, Initializer
from laws import LAWS, NORMAL, Law, fill, fresh, same

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("two")]


@pytest.fixture
def two(cuda: torch.device) -> torch.device:
    """The second device; the first is current."""
    del cuda
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    assert torch.cuda.current_device() == 0
    return torch.device("cuda:1")


@pytest.mark.parametrize("initializer", ALL, ids=str)
def test_a_tensor_is_filled_where_it_lies(initializer: Initializer, two: torch.device) -> None:
    tensor = torch.empty(initializer.shape, device=two)
    assert initializer(tensor, Key(1)) is tensor
    assert torch.cuda.current_device() == 0
    assert agree(initializer, tensor, initializer(torch.empty(initializer.shape), Key(1)))


def test_the_default_generator_is_that_of_the_tensors_device(two: torch.device) -> None:
    first, second = (torch.cuda.default_generators[device] for device in (0, two.index))
    before = first.get_state(), second.get_offset()
    fastinit.normal_(torch.empty(10, device=two))
    assert torch.equal(first.get_state(), before[0])
    assert second.get_offset() == before[1] + 4


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_equal_states_give_equal_values_on_every_device(law: Law, two: torch.device) -> None:
    made = [
        fill(law, torch.empty(1001, device=device), torch.Generator(device).manual_seed(9))
        for device in (torch.device("cuda:0"), two)
    ]
    assert same(made[0], made[1])


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_generator_of_another_gpu_owns_its_stream_there_too(law: Law, two: torch.device) -> None:
    """As torch accepts it: the generator says what is drawn, the tensor where it is written."""
    source = torch.Generator("cuda:0").manual_seed(1)
    ours = fill(law, torch.empty(1001, device=two), source)
    assert same(ours, fresh(law, torch.float32, 1001, key=drawn_key(1, 0)))
    assert source.get_offset() == 4


def test_lists_may_span_devices(two: torch.device) -> None:
    tensors = [torch.empty(100, device=device) for device in ("cuda:0", two, "cuda:0", two)]
    foreach.normal_(tensors, generator=Key(2))
    for place, tensor in enumerate(tensors):
        assert same(tensor, fresh(("normal_", 0.0, 1.0), torch.float32, 100, key=Key(2).fold_in(place)))
    assert torch.cuda.current_device() == 0


def test_streams_of_another_device(two: torch.device) -> None:
    with torch.cuda.device(two):
        stream = new_stream()
    tensor = torch.empty(1001, device=two)
    torch.cuda.synchronize(two)
    with torch.cuda.stream(stream):
        fill(NORMAL, tensor, Key(1))
    stream.synchronize()
    assert same(tensor, fresh(NORMAL, torch.float32, 1001, key=Key(1)))
