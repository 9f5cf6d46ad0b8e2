"""The two kernels an engine shows: the matrix product and the sigmoid."""

import functools
import itertools

import mpmath
import numpy as np
import pytest
from engines import ENGINES, aligned, each_engine, same_bits

import bpcore

# Rows around the multiples of every tile (4 or 5 rows, then 2, then 1), summed indices from
# none on, and columns, in vectors, around every tile (4 or 2 vectors, then 1).
ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13)
SUMMED = (0, 1, 2, 3, 17)
VECTORS = (0, 1, 2, 3, 4, 5, 7, 8, 9)


def normal(shape, dtype, seed=0):
    """Return a normal array that starts on a vector boundary, between NaNs."""
    array, _ = aligned(shape, dtype, np.nan)
    array[...] = np.random.RandomState(seed).randn(*shape)
    return array


def layouts(a):
    """Return a in every way that two strides can address it."""
    m, k = a.shape
    spread = np.full((2 * m + 1, 3 * k + 1), np.nan, a.dtype)
    spread[1::2, 1::3] = a
    return {
        "rows": a.copy(),
        "columns": np.asfortranarray(a),
        "spread": spread[1::2, 1::3],
        "backwards": a[::-1, ::-1].copy()[::-1, ::-1],
    }


def rounding_bound(a, b, c):
    """The forward error bound of k products added to c, fused or not, in any order.

    (k + 1) u / (1 - (k + 1) u) of the sum of magnitudes for the kernel, u = eps / 2, and as
    much for an expected value in a long double that is no longer than float64.
    """
    eps = np.finfo(a.dtype).eps
    a, b, c = (abs(part.astype(np.longdouble)) for part in (a, b, c))
    return (a.shape[1] + 2) * eps * (a @ b + c)


@each_engine
@pytest.mark.parametrize("k", SUMMED)
def test_gemm_is_within_the_rounding_bound_and_writes_only_c(engine, k):
    for m, vectors in itertools.product(ROWS, VECTORS):
        n = vectors * engine.lanes
        a, b = normal((m, k), engine.dtype, 1), normal((k, n), engine.dtype, 2)
        start = normal((m, n), engine.dtype, 3)
        expected = start + a.astype(np.longdouble) @ b.astype(np.longdouble)
        results = []
        for layout, given in layouts(a).items():
            c, buffer = aligned((m, n), engine.dtype, -77)
            c[...] = start
            engine.gemm(given, b, c)
            case = (m, n, k, layout)
            assert (abs(c - expected) <= rounding_bound(a, b, start)).all(), case
            assert np.count_nonzero(buffer == -77) == buffer.size - c.size, case
            results.append(c)
        assert all(same_bits(c, results[0]) for c in results), (m, n, k)


@each_engine
def test_gemm_of_part_of_the_rows_and_columns_gives_the_same_bits(engine):
    m, k, n = 13, 29, 9 * engine.lanes
    a, b = normal((m, k), engine.dtype, 1), normal((k, n), engine.dtype, 2)
    whole = normal((m, n), engine.dtype, 3)
    start = whole.copy()
    engine.gemm(a, b, whole)
    for rows, (first, last) in itertools.product(range(1, m + 1), [(0, 1), (1, 3), (2, 9)]):
        i, j = m - rows, slice(first * engine.lanes, last * engine.lanes)
        part, c = (aligned((r, b[:, j].shape[1]), engine.dtype, np.nan)[0] for r in (k, rows))
        part[...] = b[:, j]
        c[...] = start[i:, j]
        engine.gemm(a[i:], part, c)
        assert same_bits(c, np.ascontiguousarray(whole[i:, j])), (rows, first, last)


@each_engine
def test_gemm_adds_in_ascending_order_of_the_summed_index(engine):
    # 1 + big - big is 0, and -big + big + 1 is 1: only the order tells them apart.
    big = 4 / np.finfo(engine.dtype).eps
    b = normal((3, engine.lanes), engine.dtype)
    b[...] = 1
    for row in itertools.permutations([1.0, big, -big]):
        a = np.array([row], engine.dtype)
        c, _ = aligned((1, engine.lanes), engine.dtype, np.nan)
        engine.gemm(a, b, c)
        assert (c == (a[0, 0] + a[0, 1]) + a[0, 2]).all(), row


@each_engine
def test_gemm_keeps_infinities_and_nans_in_their_row_and_column(engine):
    a, b = normal((11, 3), engine.dtype), normal((3, 5 * engine.lanes), engine.dtype)
    a[4, 1], b[2, engine.lanes] = np.inf, np.nan
    c, _ = aligned((11, 5 * engine.lanes), engine.dtype, np.nan)
    engine.gemm(a, b, c)
    assert np.isnan(c[:, engine.lanes]).all()
    c = np.delete(c, engine.lanes, axis=1)
    assert np.isinf(c[4]).all() and np.isfinite(np.delete(c, 4, axis=0)).all()


@each_engine
def test_gemm_takes_a_row_that_is_broadcast_and_leaves_its_inputs_alone(engine):
    row, b = normal((1, 3), engine.dtype, 1), normal((3, engine.lanes), engine.dtype, 2)
    b.setflags(write=False)
    before = row.copy(), b.copy()
    one, many = (aligned((m, engine.lanes), engine.dtype, np.nan)[0] for m in (1, 7))
    engine.gemm(row, b, one)
    engine.gemm(np.broadcast_to(row, (7, 3)), b, many)
    assert all(same_bits(many[i : i + 1], one) for i in range(7))
    assert same_bits((row, b), before)


def test_gemm_says_what_is_wrong_with_its_arguments():
    engine = bpcore.engine("float64")
    lanes, dtype = 64 // 8, engine.dtype
    a, b, c = (aligned(shape, dtype, 0)[0] for shape in [(2, 3), (3, lanes), (2, lanes)])

    def refused(error, message, a=a, b=b, c=c, engine=engine):
        with pytest.raises(error, match=message):
            engine.gemm(a, b, c)

    several = next((row for row in ENGINES if row.lanes > 1), None)
    if several:
        wrong = np.zeros((3, several.lanes + 1), several.dtype)
        n = several.lanes + 1
        message = rf"^b must have a multiple of {several.lanes} columns, got {n}$"
        refused(ValueError, message, a.astype(several.dtype), wrong, engine=several)
    refused(TypeError, "^a must be an aligned array of float64, got float32$", a.astype("f"))
    refused(TypeError, "^a must be an aligned array of float64, got >f8$", a.astype(">f8"))
    odd = np.zeros(2 * 3 * 8 + 1, np.uint8)[1:].view(dtype).reshape(2, 3)
    refused(TypeError, "^a must be an aligned array of float64", odd)
    single = np.lib.stride_tricks.as_strided(np.zeros(9), (1, 3), (12, 8))
    refused(ValueError, r"^a must have strides of whole items, got \(12, 8\)$", single, c=c[:1])
    refused(ValueError, rf"^b must have shape \(3, {lanes}\), got \(2, {lanes}\)$", b=b[:2])
    refused(ValueError, rf"^c must have shape \(2, {lanes}\), got \(1, {lanes}\)$", c=c[:1])
    refused(TypeError, "^b must be an array of float64, got float32$", b=b.astype("f"))
    refused(TypeError, "^c must be an array of float64, got float32$", c=c.astype("f"))
    refused(ValueError, "^b must be C-contiguous and aligned$", b=np.asfortranarray(b))
    refused(ValueError, "^c must be C-contiguous and aligned$", c=np.asfortranarray(c))
    frozen = c.view()
    frozen.setflags(write=False)
    refused(ValueError, "read-only", c=frozen)


@each_engine
def test_vectors_must_start_on_their_boundary(engine):
    lanes, size = engine.lanes, engine.lanes * engine.dtype.itemsize
    if lanes == 1:
        pytest.skip("every aligned item is on its boundary")
    _, buffer = aligned((lanes,), engine.dtype, 0)
    start = (-buffer.ctypes.data) % size // engine.dtype.itemsize
    right, wrong = (buffer[start + d :][:lanes].reshape(1, -1) for d in (0, 1))
    a = np.ones((1, 1), engine.dtype)
    boundary = f"must start on a boundary of {size} bytes$"
    with pytest.raises(ValueError, match=f"^b {boundary}"):
        engine.gemm(a, wrong, right)
    with pytest.raises(ValueError, match=f"^c {boundary}"):
        engine.gemm(a, right, wrong)
    with pytest.raises(ValueError, match=f"^z {boundary}"):
        engine.sigmoid(wrong)


def ulps_of(truth, dtype):
    """The spacing of dtype's numbers in the binade of each float64 or mpf."""
    info = np.finfo(dtype)
    exponents = np.array([mpmath.frexp(t)[1] if t else info.minexp for t in truth])
    return np.ldexp(1.0, np.maximum(exponents - 1, info.minexp) - info.nmant)


def sigmoid_of(engine, points):
    """Return the engine's sigmoid of points, as float64."""
    z, buffer = aligned((-(-len(points) // engine.lanes) * engine.lanes,), engine.dtype, -77)
    z[: len(points)] = points
    engine.sigmoid(z)
    assert np.count_nonzero(buffer == -77) == buffer.size - z.size
    return z[: len(points)].astype(np.float64)


def hard_points(dtype):
    """Return finite z where an exponential may go wrong."""
    info = np.finfo(dtype)
    overflow = np.log(float(info.max))
    underflow = -np.log(float(info.smallest_subnormal))
    breaks = np.arange(0, 2.1 * underflow / np.log(2)) * (np.log(2) / 2)
    magnitudes = np.concatenate(
        [
            [0.0, info.smallest_subnormal, info.tiny, info.max, info.max / 2, 1e30],
            info.smallest_subnormal * np.array([2.0, 3.0, 2.0 ** (info.nmant - 1)]),
            np.ldexp(1.0, np.arange(info.minexp, info.maxexp, 9)),
            np.linspace(0, 1, 400),
            np.linspace(1, 45, 900),
            np.linspace(45, overflow - 2, 300),
            np.linspace(overflow - 2, underflow + 2, 1500),
            breaks[:: 1 + len(breaks) // 1000],
        ]
    ).astype(dtype)
    magnitudes = np.concatenate([magnitudes, np.nextafter(magnitudes, dtype.type(0))])
    return np.unique(np.concatenate([magnitudes, -magnitudes]))


@functools.cache
def true_sigmoid(dtype):
    """Return (z, near, ulp, rest): the sigmoid of z is near + rest ulp; near is in dtype."""
    with mpmath.workprec(200):
        z = hard_points(dtype)
        truth = []
        for value in z.tolist():
            t = mpmath.exp(-abs(mpmath.mpf(value))) if abs(value) < 1e5 else mpmath.mpf(0)
            truth.append((t if value < 0 else 1) / (1 + t))
        ulp = ulps_of(truth, dtype)
        near = np.array([float(t) for t in truth])
        rest = np.array([float((t - n) / u) for t, n, u in zip(truth, near, ulp.tolist())])
    return z, near, ulp, rest


@each_engine
def test_sigmoid_is_within_2_ulp_where_exponentials_go_wrong(engine):
    z, near, ulp, rest = true_sigmoid(engine.dtype)
    found = sigmoid_of(engine, z)
    errors = abs((found - near) / ulp - rest)
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2, (z[worst], found[worst], errors[worst])


@functools.cache
def strided_float32():
    """Return (z, sigmoid, ulp) for float32 patterns a prime apart, without the NaNs.

    float64 is 2^29 times finer, so its own error of a few ulp does not count.
    """
    z = np.arange(0, 2**32, 4093, dtype=np.uint64).astype(np.uint32).view(np.float32)
    z = z[~np.isnan(z)]
    with np.errstate(over="ignore", under="ignore"):
        truth = 1 / (1 + np.exp(-z.astype(np.float64)))
    _, exponents = np.frexp(truth)
    exponents[truth == 0] = -200
    info = np.finfo(np.float32)
    return z, truth, np.ldexp(1.0, np.maximum(exponents - 1, info.minexp) - info.nmant)


@pytest.mark.parametrize(
    "engine", [e for e in ENGINES if e.dtype == np.float32], ids=lambda engine: engine.isa
)
def test_sigmoid_of_float32_is_within_2_ulp_all_over_its_bit_patterns(engine):
    z, truth, ulp = strided_float32()
    errors = abs(sigmoid_of(engine, z) - truth) / ulp
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2 + 2.0**-24, (z[worst], errors[worst])


@each_engine
def test_sigmoid_of_special_values(engine):
    info = np.finfo(engine.dtype)
    z = [0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, info.max, -info.max]
    z += [info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    half, one, zero, nan = 0.5, 1.0, 0.0, np.nan
    expected = [half, half, one, zero, nan, nan, one, zero, half, half, half, half]
    np.testing.assert_array_equal(sigmoid_of(engine, z), expected)


@each_engine
def test_sigmoid_stays_between_0_and_1_and_never_warns(engine):
    with np.errstate(all="raise"):
        a = sigmoid_of(engine, true_sigmoid(engine.dtype)[0])
    assert ((a >= 0) & (a <= 1)).all()


@each_engine
def test_sigmoid_of_an_item_does_not_depend_on_its_lane(engine):
    points = true_sigmoid(engine.dtype)[0][::7]
    expected = sigmoid_of(engine, points)
    for shift in range(1, engine.lanes):
        assert same_bits(sigmoid_of(engine, np.roll(points, shift)), np.roll(expected, shift))


@each_engine
def test_sigmoid_takes_any_shape_of_whole_vectors_and_none(engine):
    points = np.linspace(-3, 3, 6 * engine.lanes)
    expected = sigmoid_of(engine, points)
    z, _ = aligned((2, 3, engine.lanes), engine.dtype, np.nan)
    z[...] = points.reshape(z.shape)
    engine.sigmoid(z)
    assert same_bits(z.astype(np.float64).ravel(), expected)
    empty, buffer = aligned((0,), engine.dtype, -77)
    engine.sigmoid(empty)
    assert (buffer == -77).all()


@each_engine
def test_sigmoid_says_what_is_wrong_with_z(engine):
    z, _ = aligned((engine.lanes + 1,), engine.dtype, 0)
    if engine.lanes > 1:
        message = f"^z must have a multiple of {engine.lanes} items, got {engine.lanes + 1}$"
        with pytest.raises(ValueError, match=message):
            engine.sigmoid(z)
    with pytest.raises(TypeError, match=f"^z must be an array of {engine.dtype}, got int64$"):
        engine.sigmoid(np.zeros(engine.lanes, np.int64))
    with pytest.raises(ValueError, match=r"^z must be C-contiguous and aligned$"):
        engine.sigmoid(np.zeros((2, 2 * engine.lanes), engine.dtype)[:, : engine.lanes])
    z.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        engine.sigmoid(z[: engine.lanes])
