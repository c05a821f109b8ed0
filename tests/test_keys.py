"""`Key`: a value that names a stream."""

import hashlib
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastinit
from fastinit import Key
from initializers import RANDOM, Initializer

WORDS = st.integers(-(2**63), 2**64 - 1)
DATA = st.one_of(WORDS, st.text())


def fill(key: Key, size: int = 64) -> torch.Tensor:
    return fastinit.normal_(torch.empty(size), generator=key)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_key_fills_the_same_values_at_every_call(initializer: Initializer) -> None:
    first, second = torch.empty(initializer.shape), torch.zeros(initializer.shape)
    initializer(first, Key(11))
    fastinit.normal_(torch.empty(100))  # what happens in between does not matter
    initializer(second, Key(11))
    assert torch.equal(first, second)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_a_key_leaves_the_default_generator_alone(initializer: Initializer) -> None:
    before = torch.get_rng_state()
    initializer(torch.empty(initializer.shape), Key(11))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_different_keys_fill_different_values(initializer: Initializer) -> None:
    a, b = (initializer(torch.empty(initializer.shape), key) for key in (Key(1), Key(2)))
    assert not torch.equal(a, b)


@pytest.mark.parametrize("bit", [0, 31, 32, 33, 47, 62, 63])
def test_every_bit_of_the_seed_matters(bit: int) -> None:
    assert not torch.equal(fill(Key(0)), fill(Key(1 << bit)))


def test_the_offset_is_a_position_in_the_stream_in_blocks_of_four_words() -> None:
    assert torch.equal(fill(Key(5, 2), 92), fill(Key(5), 100)[8:])


@given(seed=st.integers(-(2**63), -1))
def test_a_negative_seed_is_its_twos_complement(seed: int) -> None:
    assert Key(seed) == Key(seed + 2**64)
    assert Key(0, seed) == Key(0, seed + 2**64)


@given(seed=WORDS, offset=WORDS)
def test_the_words_an_operator_gets_have_the_same_64_bits_and_a_sign(seed: int, offset: int) -> None:
    words = Key(seed, offset).words
    assert [word % 2**64 for word in words] == [seed % 2**64, offset % 2**64]
    assert all(-(2**63) <= word < 2**63 for word in words)


@given(seed=WORDS, offset=WORDS)
def test_a_key_is_a_value(seed: int, offset: int) -> None:
    key = Key(seed, offset)
    assert pickle.loads(pickle.dumps(key)) == key
    assert {key: "found"}[Key(seed, offset)] == "found"
    assert eval(repr(key)) == key


def test_a_key_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Key(1).seed = 2  # type: ignore[misc]


@pytest.mark.parametrize("value", [-(2**63) - 1, 2**64, 10**30])
def test_values_beyond_64_bits_are_refused(value: int) -> None:
    for make in (Key, lambda offset: Key(0, offset), Key(0).fold_in):
        with pytest.raises(ValueError, match=r"must lie in \[-2\*\*63, 2\*\*64\)"):
            make(value)


@pytest.mark.parametrize("value", [True, False, 1.0, None, b"name", [1], torch.tensor(1.5)])
def test_values_of_other_types_are_refused(value: Any) -> None:
    for make in (Key, lambda offset: Key(0, offset), Key(0).fold_in):
        with pytest.raises(TypeError):
            make(value)


def test_a_string_is_no_seed() -> None:
    with pytest.raises(TypeError, match="seed must be an int, but got str"):
        Key("name")  # type: ignore[arg-type]


@given(seed=WORDS, data=DATA)
def test_folding_is_a_function_of_key_and_data(seed: int, data: int | str) -> None:
    assert Key(seed).fold_in(data) == Key(seed).fold_in(data) != Key(seed)


def test_folds_of_different_data_and_of_different_seeds_differ() -> None:
    data: list[int | str] = [*range(-2000, 2000), *map(str, range(2000)), "", "é", "\0", "a" * 1000]
    folded = [Key(seed).fold_in(item) for seed in (0, 1, 2**63) for item in data]
    assert len(set(folded)) == len(folded)


def test_an_int_and_its_digits_fold_differently() -> None:
    assert Key(0).fold_in(7) != Key(0).fold_in("7")


def test_a_string_and_the_int_it_hashes_to_fold_differently() -> None:
    digest = int.from_bytes(hashlib.blake2b(b"layer.0.weight", digest_size=8).digest(), "little")
    assert Key(0).fold_in("layer.0.weight").seed == fastinit._native.fold_in(0, digest, 2)
    assert Key(0).fold_in("layer.0.weight") != Key(0).fold_in(digest)


def test_an_int_folds_as_its_twos_complement() -> None:
    assert Key(0).fold_in(-1) == Key(0).fold_in(2**64 - 1)


def test_folds_chain_and_their_order_matters() -> None:
    assert Key(0).fold_in("a").fold_in("b") != Key(0).fold_in("b").fold_in("a")
    assert Key(0).fold_in("a").fold_in("b") != Key(0).fold_in("ab")


def test_a_fold_keeps_the_offset() -> None:
    assert Key(3, 9).fold_in("x") == Key(Key(3).fold_in("x").seed, 9)


def test_integer_like_objects_are_integers() -> None:
    assert Key(torch.tensor(5).item()) == Key(torch.tensor(5)) == Key(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("generator", [0, "0", object(), (1, 0)])
def test_what_is_neither_key_nor_generator_is_refused(generator: Any) -> None:
    tensor = torch.full((4,), 7.0)
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator, a fastinit\.Key or None"):
        fastinit.normal_(tensor, generator=generator)
    assert torch.equal(tensor, torch.full((4,), 7.0))
