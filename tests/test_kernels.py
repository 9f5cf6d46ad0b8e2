"""The two kernels an engine shows: the matrix product and the sigmoid."""

import functools
import itertools

import mpmath
import numpy as np
import pytest
from engines import ENGINES, aligned, each_engine, same_bits

import bpcore

# Rows around the multiples of every tile (up to 6 or 14 rows; what is left of two is halved),
# summed indices from none on, and columns, in vectors, around every tile of 8, 4, 2 and 1.
ROWS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 27, 28, 29)
SUMMED = (0, 1, 2, 3, 17)
VECTORS = (0, 1, 2, 3, 4, 5, 7, 8, 9)

# A packed block of b has at most so many bytes in a column and in a row (core.h).
BLOCK_DEPTH, BLOCK_COLUMNS = 1024, 4096


def normal(shape, dtype, seed=0):
    """Return a normal array that starts on a vector boundary, between NaNs."""
    array, _ = aligned(shape, dtype, np.nan)
    array[...] = np.random.RandomState(seed).randn(*shape)
    return array


def layouts(matrix):
    """Return matrix in every way that two strides can address it."""
    m, k = matrix.shape
    spread = np.full((2 * m + 1, 3 * k + 1), np.nan, matrix.dtype)
    spread[1::2, 1::3] = matrix
    padded, _ = aligned((m, -(-k // 16) * 16), matrix.dtype, np.nan)
    padded[:, k:] = np.nan
    padded[:, :k] = matrix
    return {
        "rows": matrix,
        "padded": padded[:, :k],
        "columns": np.asfortranarray(matrix),
        "spread": spread[1::2, 1::3],
        "backwards": matrix[::-1, ::-1].copy()[::-1, ::-1],
    }


def whole(engine, n):
    """Return n rounded up to whole vectors."""
    return -(-n // engine.lanes) * engine.lanes


def product(engine, a, b, start):
    """Return start + a @ b; nothing else is written, and columns that b lacks stay."""
    c, buffer = aligned(start.shape, engine.dtype, -77)
    c[...] = start
    engine.gemm(a, b, c)
    assert np.count_nonzero(buffer == -77) == buffer.size - c.size
    assert same_bits(c[:, b.shape[1] :].copy(), start[:, b.shape[1] :].copy())
    return c


def rounding_bound(a, b, c):
    """The forward error bound of k products added to c, fused or not, in any order.

    (k + 1) u / (1 - (k + 1) u) of the sum of magnitudes for the kernel, u = eps / 2, and as
    much for an expected value in a long double that is no longer than float64.
    """
    eps = np.finfo(a.dtype).eps
    a, b, c = (abs(part.astype(np.longdouble)) for part in (a, b, c))
    return (a.shape[1] + 2) * eps * (a @ b + c)


def check_gemm(engine, m, n, k):
    """Check a product in all layouts against the bound; return a, b, start and the result."""
    a, b = normal((m, k), engine.dtype, 1), normal((k, n), engine.dtype, 2)
    start = normal((m, whole(engine, n)), engine.dtype, 3)
    results = [product(engine, given, b, start) for given in layouts(a).values()]
    results += [product(engine, a, given, start) for given in layouts(b).values()]
    expected = start[:, :n] + a.astype(np.longdouble) @ b.astype(np.longdouble)
    c = results[0]
    assert (abs(c[:, :n] - expected) <= rounding_bound(a, b, start[:, :n])).all(), (m, n, k)
    assert all(same_bits(c, other) for other in results), (m, n, k)
    return a, b, start, c


@each_engine
@pytest.mark.parametrize("k", SUMMED)
def test_gemm_is_within_the_rounding_bound_and_writes_only_c(engine, k):
    for m, vectors in itertools.product(ROWS, VECTORS):
        check_gemm(engine, m, vectors * engine.lanes, k)


@each_engine
def test_gemm_reads_and_changes_only_the_columns_there_are(engine):
    for n, k in itertools.product(range(1, 3 * engine.lanes + 2), (1, 2, engine.lanes, 33)):
        check_gemm(engine, 3, n, k)


@each_engine
def test_gemm_gives_the_same_bits_whatever_the_blocks(engine):
    # Three rows of c are added to where b is; all of them, or a b in columns, from copies.
    size = engine.dtype.itemsize
    depth, columns = BLOCK_DEPTH // size, BLOCK_COLUMNS // size
    shapes = [(64 + d, columns + d, depth + d) for d in (-1, 0, 1)]
    shapes += [(29, 2 * columns + 1, 31), (2 * columns + 5, columns // 4, 32), (300, 8, 300)]
    shapes += [(5, 16, 3 * depth - 1), (5, 16, 3 * depth + 1)]
    for m, n, k in shapes:
        a, b, start, c = check_gemm(engine, m, whole(engine, n), k)
        for i in (0, m // 2, m - 3):
            rows = slice(i, i + 3)
            assert same_bits(product(engine, a[rows], b, start[rows]), c[rows].copy())


@each_engine
def test_gemm_of_part_of_the_rows_and_columns_gives_the_same_bits(engine):
    m, k, n = 29, 300, 9 * engine.lanes
    a, b = normal((m, k), engine.dtype, 1), normal((k, n), engine.dtype, 2)
    start = normal((m, n), engine.dtype, 3)
    c = product(engine, a, b, start)
    for rows, (first, last) in itertools.product(range(1, m + 1), [(0, 1), (1, 3), (2, 9)]):
        i, j = m - rows, slice(first * engine.lanes, last * engine.lanes)
        for part in (b, np.asfortranarray(b)):
            found = product(engine, a[i:], part[:, j], start[i:, j])
            assert same_bits(found, c[i:, j].copy()), (rows, first, last)


@each_engine
def test_gemm_of_few_columns_gives_the_bits_of_whole_vectors(engine):
    # The lanes of what takes few columns are rows of c, if a's rows or columns are vectors.
    lanes, dtype = engine.lanes, engine.dtype
    rows, columns = (1, lanes, 4 * lanes + 3, 100), (1, 2, lanes // 2, lanes + 1)
    for m, n, k in itertools.product(rows, columns, (lanes, lanes + 1, 32, 100)):
        a, b = normal((m, k), dtype, 1), normal((k, whole(engine, n)), dtype, 2)
        start = normal((m, b.shape[1]), dtype, 3)
        expected = product(engine, a, b, start)[:, :n].copy()
        upright = layouts(np.ascontiguousarray(a.T)).values()
        for given in (*layouts(a).values(), *(turned.T for turned in upright)):
            for few in (b[:, :n], np.asfortranarray(b[:, :n])):
                found = product(engine, given, few, start)[:, :n].copy()
                assert same_bits(found, expected), (m, n, k, given.strides)


@each_engine
def test_gemm_of_one_row_gives_the_bits_of_several(engine):
    # Columns of b that lie as rows of whole vectors, NaN beyond k, are turned on their way.
    lanes, dtype = engine.lanes, engine.dtype
    for n, k in itertools.product((lanes, 16, 33, 100), (lanes, lanes + 1, 100)):
        a, b = normal((3, k), dtype, 1), layouts(normal((n, k), dtype, 2))["padded"].T
        start = normal((3, whole(engine, n)), dtype, 3)
        c = product(engine, a, b, start)
        for i in range(3):
            one = slice(i, i + 1)
            assert same_bits(product(engine, a[one], b, start[one]), c[one].copy()), (n, k)


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

    for name, given in (("a", a), ("b", b)):

        def wrong(error, message, array, name=name):
            refused(error, f"^{name} must {message}$", **{name: array})

        wrong(TypeError, "be an array of float64, got list", given.tolist())
        wrong(TypeError, "be an aligned array of float64, got float32", given.astype("f"))
        wrong(TypeError, "be an aligned array of float64, got >f8", given.astype(">f8"))
        odd = np.zeros(given.size * 8 + 1, np.uint8)[1:].view(dtype).reshape(given.shape)
        wrong(TypeError, "be an aligned array of float64, got float64", odd)
        wrong(ValueError, "have two dimensions, got 1", given[0])
        single = np.lib.stride_tricks.as_strided(np.zeros(9), (1, 3), (12, 8))
        wrong(ValueError, r"have strides of whole items, got \(12, 8\)", single)
    refused(ValueError, "^b must have 3 rows to match a, got 2$", b=b[:2])
    refused(ValueError, rf"^c must have shape \(2, {lanes}\), got \(1, {lanes}\)$", c=c[:1])
    several = next((row for row in ENGINES if row.lanes > 1), None)
    if several:
        narrow = [np.zeros(shape, several.dtype) for shape in [(2, 3), (3, 1), (2, 1)]]
        message = rf"^c must have shape \(2, {several.lanes}\), got \(2, 1\)$"
        refused(ValueError, message, *narrow, engine=several)
    refused(TypeError, "^c must be an array of float64, got float32$", c=c.astype("f"))
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
    engine.gemm(a, wrong, right)  # b may start anywhere
    with pytest.raises(ValueError, match=f"^c {boundary}"):
        engine.gemm(a, right, wrong)
    with pytest.raises(ValueError, match=f"^z {boundary}"):
        engine.activate("sigmoid", wrong)


def ulps_of(truth, dtype):
    """The spacing of dtype's numbers in the binade of each float64 or mpf."""
    info = np.finfo(dtype)
    exponents = np.array([mpmath.frexp(t)[1] if t else info.minexp for t in truth])
    return np.ldexp(1.0, np.maximum(exponents - 1, info.minexp) - info.nmant)


def sigmoid_of(engine, points):
    """Return the engine's sigmoid of points, as float64."""
    z, buffer = aligned((-(-len(points) // engine.lanes) * engine.lanes,), engine.dtype, -77)
    z[: len(points)] = points
    engine.activate("sigmoid", z)
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
    with np.errstate(under="ignore"):
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
    engine.activate("sigmoid", z)
    assert same_bits(z.astype(np.float64).ravel(), expected)
    empty, buffer = aligned((0,), engine.dtype, -77)
    engine.activate("sigmoid", empty)
    assert (buffer == -77).all()


@each_engine
def test_sigmoid_says_what_is_wrong_with_z(engine):
    z, _ = aligned((engine.lanes + 1,), engine.dtype, 0)
    if engine.lanes > 1:
        message = f"^z must have a multiple of {engine.lanes} items, got {engine.lanes + 1}$"
        with pytest.raises(ValueError, match=message):
            engine.activate("sigmoid", z)
    with pytest.raises(TypeError, match=f"^z must be an array of {engine.dtype}, got int64$"):
        engine.activate("sigmoid", np.zeros(engine.lanes, np.int64))
    with pytest.raises(ValueError, match=r"^z must be C-contiguous and aligned$"):
        engine.activate(
            "sigmoid", np.zeros((2, 2 * engine.lanes), engine.dtype)[:, : engine.lanes]
        )
    z.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        engine.activate("sigmoid", z[: engine.lanes])
