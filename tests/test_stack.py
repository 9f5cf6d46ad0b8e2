"""Lists of arrays, and what is asked of arrays at a glance: in C as in NumPy."""

import math
import random

import numpy as np
import pytest
from engines import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import FAST, each_dtype, examples, make

import bpcore
from bpnet import data

ENGINES = bpcore.engines()
each_engine = pytest.mark.parametrize("engine", ENGINES, ids=repr)
FLOATS = [np.dtype(np.float32), np.dtype(np.float64)]


@each_engine
@pytest.mark.parametrize("given_dtype", FLOATS, ids=str)
@settings(deadline=None, max_examples=20)
@given(n=st.integers(0, 40), n_in=st.integers(1, 70), seed=st.integers(0, 9))
def test_columns_are_put_one_after_the_other(engine, given_dtype, n, n_in, seed):
    values = list(np.random.RandomState(seed).randn(n, n_in, 1).astype(given_dtype))
    random.Random(seed).shuffle(values)
    out = np.full((n, n_in), 7, engine.dtype)
    assert engine.stack(values, out)
    expected = np.array(values).reshape(n, n_in).astype(engine.dtype)
    assert same_bits([out], [expected])


@each_engine
def test_what_overflows_is_infinite(engine):
    out = np.zeros((1, 2), engine.dtype)
    with np.errstate(over="ignore"):
        expected = np.array([[1e300, -1e300]]).astype(engine.dtype)
    assert engine.stack([np.array([[1e300], [-1e300]])], out)
    assert same_bits([out], [expected])


NO_COLUMNS = {
    "a row": lambda x: x.T.copy(),
    "flat": np.ravel,
    "three dimensions": lambda x: x[..., None],
    "another size": lambda x: x[:-1],
    "strides": lambda x: np.hstack([x, x])[:, :1],
    "integers": lambda x: x.astype(np.int64),
    "half precision": lambda x: x.astype(np.float16),
    "the other float": lambda x: x.astype(np.float32),
    "big-endian": lambda x: x.astype(">f8"),
    "dates": lambda x: x.astype("M8[s]"),
    "objects": lambda x: x.astype(object),
    "a subclass": lambda x: x.view(np.matrix),
    "a list": np.ndarray.tolist,
    "unaligned": lambda x: np.frombuffer(b" " + x.tobytes(), offset=1).reshape(x.shape),
    "nothing": lambda x: None,
}


@each_engine
@pytest.mark.parametrize("where", [0, 1, 20])
@pytest.mark.parametrize("kind", NO_COLUMNS)
def test_what_is_no_column_stops_it_before_anything_is_written(engine, kind, where):
    values = [np.arange(5.0)[:, None] for _ in range(40)]
    values[where] = NO_COLUMNS[kind](values[where])
    out = np.full((40, 5), 7, engine.dtype)
    assert not engine.stack(values, out)
    assert (out == 7).all()
    assert not bpcore.are_columns(values, 5, np.dtype(float))


def test_columns_are_of_the_dtype_that_is_asked_for():
    for dtype in FLOATS:
        same = np.zeros((3, 1), np.dtype(dtype.str, copy=True))  # equal, perhaps not identical
        assert bpcore.are_columns([same] * 30, 3, dtype)
        assert not bpcore.are_columns([same] * 30, 4, dtype)
        assert not bpcore.are_columns([same], 3, FLOATS[dtype == FLOATS[0]])


def test_parameters_are_lists_of_arrays_that_fit():
    sizes, dtype = [2, 3, 1], np.dtype(float)
    biases, weights = [np.zeros((3, 1)), np.zeros((1, 1))], [np.zeros((3, 2)), np.zeros((1, 3))]
    assert bpcore.are_parameters(sizes, biases, weights, dtype)
    for b, w in [
        (tuple(biases), weights),
        (biases, weights[:1]),
        (biases[:1], weights[:1]),
        (biases, [weights[0].T.copy(), weights[1]]),
        (biases, [np.asfortranarray(weights[0]), weights[1]]),
        ([biases[0], biases[1].astype("f")], weights),
        ([biases[0], biases[1][0]], weights),
        (biases, [weights[0], None]),
    ]:
        assert not bpcore.are_parameters(sizes, b, w, dtype)


def test_pairs_are_split():
    pairs = [(object(), object()) for _ in range(50)]
    xs, ys = bpcore.split(pairs)
    assert [*zip(xs, ys)] == pairs
    assert bpcore.split([]) == ([], [])
    for odd in [[1, 2], (1,), (1, 2, 3), None, 5]:
        for where in (0, 30, 49):
            assert bpcore.split([*pairs[:where], odd, *pairs[where:]]) is None


@pytest.mark.parametrize("dtype", [*FLOATS, "f2", ">f8", "i4", "?"], ids=str)
@pytest.mark.parametrize("layout", ["plain", "strides", "unaligned"])
def test_numbers_of_any_layout_are_looked_at(dtype, layout):
    numbers = np.ones((7, 3), dtype)
    if layout == "strides":
        numbers = np.ones((14, 3), dtype)[::2]
    elif layout == "unaligned":
        raw = np.frombuffer(bytearray(b" " + numbers.tobytes()), np.uint8, offset=1)
        numbers = raw.view(dtype).reshape(7, 3)
    assert data._are_within(numbers) and data._are_within(numbers, 0, 1)
    numbers[5, 2] = 0
    assert data._are_within(numbers) and not data._are_within(numbers, 0.5, 1)


@each_engine
@pytest.mark.parametrize("n", [0, 1, 7, 15, 16, 17, 100])
def test_one_number_out_of_range_is_found_anywhere(engine, n):
    numbers = np.linspace(-1, 2, n).astype(engine.dtype)
    assert engine.are_within(numbers)
    assert engine.are_within(numbers, -1, 2)
    for wrong in (np.nan, np.inf, -np.inf, 2.01, -1.01):
        for i in range(n):
            other = numbers.copy()
            other[i] = wrong
            assert not engine.are_within(other, -1, 2)
            assert engine.are_within(other) == np.isfinite(wrong)


@each_engine
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 4), (17, 1), (30, 79)])
def test_squares_are_summed_to_rounding(engine, shape):
    draw = np.random.RandomState(2)
    before, after = ([draw.randn(*shape).astype(engine.dtype)] for _ in range(2))
    a, b = before[0].astype(float).ravel(), after[0].astype(float).ravel()
    expected = [math.fsum(v * v) for v in (a, b, b - a)]
    bound = (a.size + 3) * np.finfo(float).eps  # of a sum of so many positive terms
    found = engine.squares(before, after)
    assert all(abs(f - e) <= bound * e for f, e in zip(found, expected))
    assert engine.squares(before, before)[2] == 0
    assert engine.squares([], []) == (0, 0, 0)


@each_dtype
@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("change", ["a number", "an array", "a pair"])
def test_what_a_script_changes_between_two_calls_is_seen(kind, dtype, change):
    """Nothing is kept of a list, whose arrays may have been written to."""

    def trained(copies):
        data = [(x.copy(), y.copy()) for x, y in examples(60)]
        made = make(kind, dtype=dtype)
        made.SGD(data, 1, 10, 0.5)
        x, y = data[7]
        if change == "a number":
            x[3, 0] += 0.5
        elif change == "an array":
            y[...] = y[::-1].copy()
        else:
            data[7] = (x * 0.5, y)
        if copies:
            data = [(x.copy(), y.copy()) for x, y in data]
        made.SGD(data, 1, 10, 0.5)
        return made.biases + made.weights

    assert same_bits(trained(copies=False), trained(copies=True))
