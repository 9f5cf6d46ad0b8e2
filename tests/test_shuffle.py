"""bpcore.Order against random.shuffle: the same order, and the same state afterwards."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bpcore
from bpcore._core import BLOCKS

POWERS = [2**k for k in (2, 3, 4, 5, 8, 10, 16, 18)]
SIZES = sorted({0, 1, 2, 3, 1000, 50000} | {n + d for n in POWERS for d in (-1, 0, 1)})
fixed = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def shuffled(n, source, times=1):
    """Return (the order, a list) after Order.shuffle and source.shuffle from the same state."""
    order, items = bpcore.Order(n), list(range(n))
    state = source.getstate()
    for _ in range(times):
        order.shuffle(source)
    after = source.getstate()
    source.setstate(state)
    for _ in range(times):
        source.shuffle(items)
    assert source.getstate() == after
    return order.tolist(), items


@pytest.fixture
def global_state():
    """Give the module's generator back as it was."""
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.mark.parametrize("n", SIZES)
def test_shuffle_is_randoms_for_every_size(n):
    found, expected = shuffled(n, random.Random(n))
    assert found == expected


@fixed
@given(st.integers(0, 700), st.integers(0, 2**70), st.integers(1, 4))
def test_shuffle_is_randoms_for_every_seed_and_goes_on_from_the_last_order(n, seed, times):
    found, expected = shuffled(n, random.Random(seed), times)
    assert found == expected


@fixed
@given(st.integers(0, 1300), st.integers(2, 9))
def test_shuffle_starts_anywhere_in_the_generators_words(drawn, n):
    source = random.Random(1)
    for _ in range(drawn):
        source.getrandbits(32)
    found, expected = shuffled(n, source)
    assert found == expected


@pytest.mark.parametrize("state", [[1] + [0] * 623, [2**32 - 1] * 624, list(range(624))])
@pytest.mark.parametrize("position", [0, 1, 226, 227, 396, 397, 622, 623, 624])
def test_shuffle_takes_any_state_that_a_generator_can_have(state, position):
    source = random.Random()
    source.setstate((3, (*state, position), None))
    found, expected = shuffled(700, source)
    assert found == expected


def test_shuffle_by_the_module_moves_the_modules_generator(global_state):
    random.seed(5)
    order, items = bpcore.Order(1000), list(range(1000))
    order.shuffle(random)
    following = random.random()
    random.seed(5)
    random.shuffle(items)
    assert order.tolist() == items and random.random() == following


def test_shuffle_keeps_the_second_half_of_a_gauss_pair():
    source = random.Random(7)
    source.gauss(0, 1)
    waiting = source.getstate()[2]
    assert waiting is not None
    bpcore.Order(100).shuffle(source)
    assert source.getstate()[2] == waiting and source.gauss(0, 1) == waiting


class Halves(random.Random):
    """A subclass that draws in its own way."""

    def random(self):
        return super().random() / 2

    def getrandbits(self, k):
        return super().getrandbits(k) >> 1


class Reversing(random.Random):
    """A subclass that shuffles in its own way."""

    def shuffle(self, x):
        x.reverse()


class Plain(random.Random):
    """A subclass that changes nothing."""


@pytest.mark.parametrize("kind", [Plain, Halves, Reversing])
def test_shuffle_is_the_subclasss_own(kind):
    found, expected = shuffled(100, kind(3), times=2)
    assert found == expected
    if kind is Reversing:
        assert found == list(range(100))


def test_shuffle_is_system_randoms_own():
    order = bpcore.Order(1000)
    order.shuffle(random.SystemRandom())
    assert order.tolist() != list(range(1000)) and sorted(order.tolist()) == list(range(1000))


def test_shuffle_is_whatever_replaces_randoms(monkeypatch):
    order = bpcore.Order(5)
    monkeypatch.setattr(random, "shuffle", lambda x: x.reverse())
    order.shuffle(random)
    assert order.tolist() == [4, 3, 2, 1, 0]
    monkeypatch.setattr(random, "shuffle", Reversing(1).shuffle)
    order.shuffle(random)
    assert order.tolist() == [0, 1, 2, 3, 4]
    source = random.Random(1)
    source.shuffle = lambda x: x.reverse()
    order.shuffle(source)
    assert order.tolist() == [4, 3, 2, 1, 0]


def test_shuffle_is_the_method_that_replaces_randoms(monkeypatch):
    monkeypatch.setattr(random.Random, "shuffle", lambda self, x: x.reverse())
    order = bpcore.Order(5)
    order.shuffle(random.Random(1))
    assert order.tolist() == [4, 3, 2, 1, 0]


class Failing(random.Random):
    """A subclass whose shuffle moves some items, then gives up."""

    def shuffle(self, x):
        x.reverse()
        raise RuntimeError("no more randomness")


def test_a_shuffle_that_fails_leaves_the_order_as_it_was():
    order = bpcore.Order(5)
    with pytest.raises(RuntimeError, match="no more randomness"):
        order.shuffle(Failing())
    assert order.tolist() == [0, 1, 2, 3, 4]


class Writing:
    """A source that leaves what it was given."""

    def __init__(self, items):
        self.items = items

    def shuffle(self, x):
        x[:] = self.items


@pytest.mark.parametrize(
    "items", [[0, 1, 5], [0, 1, -1], [2**40, 0, 1], [0, 1], [0], [0, 1, 2, 2], []], ids=str
)
def test_what_a_shuffle_leaves_must_be_n_examples_of_the_data(items):
    order = bpcore.Order(3)
    with pytest.raises(ValueError):
        order.shuffle(Writing(items))
    assert order.tolist() == [0, 1, 2]


def test_tolist_is_a_fresh_list_of_python_ints():
    order = bpcore.Order(3)
    order.tolist().reverse()
    assert order.tolist() == [0, 1, 2] and order.n == 3
    assert all(type(i) is int for i in order.tolist())


def test_order_refuses_what_is_no_number_of_items():
    with pytest.raises(ValueError, match=r"^order must have shape \(-1,\), got \(0,\)$"):
        bpcore.Order(-1)
    for wrong in (None, "x", 2.5, [3]):
        with pytest.raises((TypeError, ValueError)):
            bpcore.Order(wrong)


# Windows


def in_windows(n, window, shuffle):
    """Return 0 to n - 1 as Order.shuffle with a window says: the law in Python's own words."""
    size = max(1, window // BLOCKS)
    blocks = [range(begin, min(begin + size, n)) for begin in range(0, n, size)]
    shuffle(blocks)
    order = []
    for k in range(0, len(blocks), window // size):
        rows = [row for block in blocks[k : k + window // size] for row in block]
        shuffle(rows)
        order += rows
    return order


windows = given(st.integers(0, 5000), st.integers(1, 6000), st.integers(0, 2**70))


@fixed
@windows
def test_windows_are_shuffled_as_random_would_whatever_was_before(n, window, seed):
    order, source, judge = bpcore.Order(n), random.Random(seed), random.Random(seed)
    order.shuffle(source)
    judge.shuffle([0] * n)
    for _ in range(2):
        order.shuffle(source, window)
        assert order.tolist() == in_windows(n, window, judge.shuffle)
        assert source.getstate() == judge.getstate()


@fixed
@windows
def test_every_row_is_visited_once_in_a_window_that_is_blocks_of_the_rows(n, window, seed):
    order = bpcore.Order(n)
    assert list(order.windows()) == []
    order.shuffle(random.Random(seed), window)
    visited, sizes = order.tolist(), []
    assert sorted(visited) == list(range(n))
    for begins, ends in order.windows():
        rows = {row for block in zip(begins, ends) for row in range(*block)}
        assert rows == set(visited[sum(sizes) :][: len(rows)])
        sizes.append(len(rows))
    assert sum(sizes) == n and max(sizes, default=0) <= window
    assert len(sizes) <= 2 * n / window + 1  # no more windows than have to be, but for rounding
    order.shuffle(random.Random(seed))
    assert list(order.windows()) == []


@pytest.mark.parametrize("kind", [Plain, Halves, Reversing])
def test_windows_are_shuffled_by_a_subclass_in_its_own_way(kind):
    order = bpcore.Order(1000)
    order.shuffle(kind(3), 300)
    assert order.tolist() == in_windows(1000, 300, kind(3).shuffle)


def test_windows_are_shuffled_by_any_source(global_state, monkeypatch):
    order = bpcore.Order(1000)
    order.shuffle(random.SystemRandom(), 100)
    assert sorted(order.tolist()) == list(range(1000))
    random.seed(5)
    order.shuffle(random, 100)
    random.seed(5)
    assert order.tolist() == in_windows(1000, 100, random.shuffle)
    monkeypatch.setattr(random, "shuffle", lambda x: x.reverse())
    order.shuffle(random, 600)
    assert order.tolist() == in_windows(1000, 600, list.reverse)


@pytest.mark.parametrize("items", [[0, 1, 1], [0, 1], [0, 1, 3], [0.5, 1, 2], []], ids=str)
def test_what_a_shuffle_leaves_of_blocks_must_be_what_it_got(items):
    order = bpcore.Order(3)
    with pytest.raises(
        ValueError, match=r"^a shuffle must leave the 3 items that it was given$"
    ):
        order.shuffle(Writing(items), 3)
    assert order.tolist() == [0, 1, 2]


def test_an_order_as_an_array_is_a_copy():
    order = bpcore.Order(3)
    array = order.toarray()
    assert array.dtype == np.int64 and array.tolist() == [0, 1, 2]
    array[:] = 0
    assert order.tolist() == [0, 1, 2]
