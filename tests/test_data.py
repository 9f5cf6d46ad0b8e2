"""What callers pass, in any form and memory layout, and the sentences that refuse the rest."""

import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from conftest import labelled, pairs, parameters_of
from engines import same_bits

import bpcore
import bpnet
from bpnet import Network, data

SIZES = [4, 5, 3]


class Backwards(np.ndarray):
    """A subclass whose operators and indices are not those of an array."""

    def __getitem__(self, index):
        return -1.0

    def __mul__(self, other):
        return -1.0

    def __array_ufunc__(self, *arguments, **options):
        return -1.0


def inside(array, fill):
    """Return a view with the values of array, none of whose items are neighbours."""
    base = np.full([3 * n + 2 for n in array.shape], fill, array.dtype)
    view = base[tuple(slice(1, 3 * n + 1, 3) for n in array.shape)]
    view[...] = array
    return view


def backwards(array):
    """Return a view of negative strides."""
    every = (slice(None, None, -1),) * array.ndim
    return array[every].copy()[every]


def odd_address(array):
    """Return an array on bytes that start at an odd address."""
    raw = np.frombuffer(b"\0" + array.tobytes(), array.dtype, offset=1)
    return raw.reshape(array.shape)


def matrix(array):
    return np.asmatrix(array)


LAYOUTS = {
    "strided in NaN": lambda a: inside(a, np.nan),
    "negative strides": backwards,
    "odd address, read-only": odd_address,
    "big-endian": lambda a: a.astype(">f8"),
    "little-endian": lambda a: a.astype("<f8"),
    "Fortran": lambda a: np.asfortranarray(a.copy()),
    "matrix": matrix,
    "masked": np.ma.masked_array,
    "odd subclass": lambda a: a.copy().view(Backwards),
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)
pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")


def raw(array):
    """The items and the identity of an array, whatever its class makes of indices."""
    plain = array.view(np.ndarray)
    return id(array), plain.dtype.str, plain.tobytes()


@each_layout
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_examples_of_any_layout_give_the_bits_of_plain_ones(layout, dtype, capsys):
    laid = LAYOUTS[layout]
    plain = pairs(11, 4, 3)
    odd = [(laid(x), laid(y)) for x, y in plain]
    held = [part for pair in odd for part in pair]
    before = [raw(part) for part in held]
    one, two = (Network(SIZES, dtype=dtype, seed=1) for _ in range(2))
    for (x, y), (odd_x, odd_y) in zip(plain, odd):
        assert same_bits(one.feedforward(odd_x), two.feedforward(x))
        assert same_bits(one.backprop(odd_x, odd_y), two.backprop(x, y))
    one.update_mini_batch(odd[:3], 0.5)
    two.update_mini_batch(plain[:3], 0.5)
    one.SGD(list(odd), 2, 4, 0.5, test_data=odd)
    two.SGD(list(plain), 2, 4, 0.5, test_data=plain)
    assert same_bits(parameters_of(one), parameters_of(two))
    assert one.evaluate(odd) == two.evaluate(plain)
    assert [raw(part) for part in held] == before


@each_layout
@pytest.mark.parametrize("hook", [False, True], ids=["core", "hook"])
def test_pairs_of_arrays_of_any_layout_give_the_bits_of_plain_ones(layout, hook, capsys):
    laid = LAYOUTS[layout]
    x = np.concatenate([x.T for x, _ in pairs(11, 4, 3)])
    y = np.concatenate([y.T for _, y in pairs(11, 4, 3)])
    odd = laid(x), laid(y)
    before = [raw(part) for part in odd]
    one, two = (Network(SIZES, seed=1) for _ in range(2))
    for net in (one, two) if hook else ():
        net.cost_derivative = lambda a, y: a - y
        net.feedforward = lambda a, net=net: Network.feedforward(net, a)
    one.SGD(odd, 2, 4, 0.5, test_data=odd)
    two.SGD((x, y), 2, 4, 0.5, test_data=(x, y))
    assert same_bits(parameters_of(one), parameters_of(two))
    assert [raw(part) for part in odd] == before


@each_layout
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_of_any_layout_give_the_bits_of_plain_ones(layout, dtype, capsys):
    laid = LAYOUTS[layout]
    one, two = (Network(SIZES, dtype=dtype, seed=1) for _ in range(2))
    one.biases = [laid(b.astype(float)) for b in one.biases]
    one.weights = [laid(w.astype(float)) for w in one.weights]
    before = [raw(part) for part in parameters_of(one)]
    held = parameters_of(one)
    x, y = pairs(1, 4, 3)[0]
    assert same_bits(one.feedforward(x), two.feedforward(x))
    assert same_bits(one.backprop(x, y), two.backprop(x, y))
    one.SGD(pairs(9, 4, 3), 1, 4, 0.5)
    two.SGD(pairs(9, 4, 3), 1, 4, 0.5)
    assert same_bits(parameters_of(one), parameters_of(two))
    assert [raw(part) for part in held] == before
    assert all(type(part) is np.ndarray for part in parameters_of(one))


def test_parameters_that_share_memory_are_trained_apart():
    """Broadcast items, a square matrix and its transpose, and biases inside weights."""
    base = np.random.RandomState(0).randn(4, 4)
    net, plain = Network([4, 4, 4], seed=1), Network([4, 4, 4], seed=1)
    net.weights, net.biases = [base, base.T], [base[:, :1], np.broadcast_to(0.5, (4, 1))]
    plain.weights, plain.biases = [base.copy(), base.T.copy()], [base[:, :1].copy(), 0]
    plain.biases[1] = np.full((4, 1), 0.5)
    kept = base.copy()
    for each in (net, plain):
        each.SGD(pairs(9, 4, 4), 2, 4, 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))
    assert same_bits(base, kept)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("density", [0.1, 1.0], ids=["csr", "dense"])
def test_every_form_and_dtype_of_many_examples_is_packed_alike(dtype, density):
    """More of them than are taken at a time; half is exact in float16."""
    draw, engine = np.random.RandomState(0), bpcore.engine(dtype)
    x = np.where(draw.rand(3000, 40) < density, 0.5, 0).astype("f8")
    x[:, 0] = 0.25
    y = np.eye(3)[draw.randint(3, size=3000)]
    for kind in "efdg":
        arrays = x.astype(kind), y.astype(kind)
        columns = [(a[:, None], b[:, None]) for a, b in zip(*arrays)]
        mixed = [*columns[:1500], None, *columns[1501:]]
        mixed[1500] = x[1500][:, None].tolist(), inside(y[1500][:, None], np.nan)
        for examples in (arrays, columns, mixed, tuple(map(np.asfortranarray, arrays))):
            packed = data.accept("examples", examples).pack(
                "examples", [40, 3], engine, outputs=True
            )
            assert packed.sparse == (density < 0.3) and len(packed) == 3000
            assert same_bits(packed.rows(0, 3000), x.astype(dtype))


def test_the_first_example_that_is_not_finite_is_named():
    engine = bpcore.engine("float32")
    for i in (0, 1, 1638, 1639, 2999):
        for bad in (np.nan, -np.inf, 1e39):
            examples = pairs(3000, 40, 3)
            examples[i][0][i % 40] = bad
            examples[-1][0][0] = np.inf
            shown = {1e39: "inf"}.get(bad, bad) if i < 2999 else r"(-inf|inf|nan)"
            message = rf"^examples\[{i}\]: x must be finite in float32, got {shown}$"
            with pytest.raises(ValueError, match=message):
                data.accept("examples", examples).pack(
                    "examples", [40, 3], engine, outputs=True
                )


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 2), (4, 1, 1), (1, 4, 1)])
@pytest.mark.parametrize("others", [0, 1, 200])
def test_as_many_items_in_another_shape_are_no_column(shape, others):
    examples = [*pairs(others, 4, 3), (np.ones(shape), np.ones((3, 1)))]
    message = f"^{re.escape(f'examples[{others}]: x has shape {shape}, expected (4, 1)')}"
    with pytest.raises(ValueError, match=message):
        data.accept("examples", examples).pack(
            "examples", SIZES, bpcore.engine("float64"), outputs=True
        )


def test_a_pair_that_fits_is_not_copied():
    engine = bpcore.engine("float64")
    x, y = np.ones((50, 4)), np.ones((50, 3))
    packed = data.accept("x", (x, y)).pack("x", SIZES, engine, outputs=True)
    x[:] = 2
    assert same_bits(packed.rows(0, 50), x)


def test_one_array_may_be_every_x_and_every_y(capsys):
    shared = np.linspace(0, 1, 4)[:, None]
    net, plain = Network([4, 4], seed=1), Network([4, 4], seed=1)
    net.SGD([(shared, shared)] * 5, 2, 2, 0.5)
    plain.SGD([(shared.copy(), shared.copy()) for _ in range(5)], 2, 2, 0.5)
    assert same_bits(parameters_of(net), parameters_of(plain))


def test_examples_may_mix_every_real_dtype(capsys):
    """Small integers are exact in each of them."""
    kinds = "?bBhHiIlLqQefdg"
    plain = [(np.eye(4)[:, [i % 4]], np.eye(3)[:, [i % 3]]) for i in range(len(kinds))]
    mixed = [(x.astype(kind), y.astype(kind)) for kind, (x, y) in zip(kinds, plain)]
    one, two = Network(SIZES, seed=1), Network(SIZES, seed=1)
    one.SGD(mixed, 2, 4, 0.5)
    two.SGD(plain, 2, 4, 0.5)
    assert same_bits(parameters_of(one), parameters_of(two))


def test_one_hot_rows_count_as_labels():
    net, test = Network(SIZES, seed=1), labelled(30, 4, 3)
    rows = np.concatenate([x.T for x, _ in test]), np.eye(3)[[label for _, label in test]]
    assert net.evaluate(rows) == net.evaluate(test)


def test_a_network_of_one_output_counts_the_labels_that_are_zero():
    """The argmax of one output is 0: so does the original."""
    net = Network([4, 1], seed=1)
    x = np.ones((4, 1))
    assert net.evaluate([(x, label) for label in (0, 1, 0.0, 7, [[0]])]) == 3


# Labels that are none


NO_LABELS = {
    "a word": "1",
    "None": None,
    "complex": 1j,
    "a dict": {},
    "an empty list": [],
    "an empty column": np.ones((0, 1)),
    "a short column": np.ones((2, 1)),
    "a long column": np.ones((4, 1)),
    "a large integer": 2**70,
    "outputs with NaN": np.array([[0.0], [np.nan], [1.0]]),
    "outputs with infinity": np.array([[0.0], [np.inf], [1.0]]),
}


@pytest.mark.parametrize("label", NO_LABELS)
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "among others"])
@pytest.mark.parametrize("hook", [False, True], ids=["core", "hook"])
def test_what_is_no_label_is_refused_in_a_sentence(label, others, hook, nothing_changes):
    net, x = Network(SIZES, seed=1), np.ones((4, 1))
    if hook:
        net.feedforward = lambda a: a
    test = [(x, 0)] * others + [(x, NO_LABELS[label])] + [(x, 1)] * others
    training = pairs(3, 4, 3)
    for call in (
        lambda: net.evaluate(test),
        lambda: net.SGD(training, 1, 2, 0.5, test_data=test),
    ):
        with (
            nothing_changes(net, test, training),
            pytest.raises((TypeError, ValueError), match=r"^test_data\S* .*must .+, got .+$"),
        ):
            call()


# Sizes


@pytest.mark.parametrize(
    "sizes", [iter([3, 2]), (n for n in (3, 2))], ids=["iterator", "generator"]
)
def test_sizes_that_can_be_read_but_once_are_refused(sizes):
    """The object becomes the attribute, which every call reads."""
    with pytest.raises(TypeError, match=r"^sizes must list the neurons of each layer, got <"):
        Network(sizes)


ABSURD = """
import resource
import numpy as np
from bpnet import Network

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
np.random.seed(1)
state = np.random.get_state()[1].tolist()
for sizes in [10**6, 10**7], [2, 10**9, 2], [2**31, 2**31], [2**32, 2**32], [2**62, 2**62, 4]:
    try:
        Network(sizes)
    except MemoryError as error:
        assert str(error).startswith(f"sizes {sizes} make a network of "), error
    else:
        raise AssertionError(sizes)
assert np.random.get_state()[1].tolist() == state
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_absurd_sizes_are_a_memory_error_before_anything_is_drawn():
    """With a limit of its own: some systems promise any amount of memory."""
    subprocess.run([sys.executable, "-c", ABSURD], check=True, timeout=60)


# The functions


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), True + 2])
def test_integer_takes_what_is_an_index(value):
    number = data.integer("n", value, 3, 3)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), Fraction(3), np.array(3.0), True])
def test_real_takes_what_is_a_number(value):
    number = data.real("eta", value, np.dtype("float32"))
    assert number == float(value) and type(number) is float


def test_real_knows_the_largest_number_of_its_dtype():
    most = float(np.finfo(np.float32).max)
    assert data.real("eta", most, np.dtype("float32")) == most
    assert data.real("eta", -2 * most, np.dtype("float64")) == -2 * most
    with pytest.raises(ValueError, match=r"^eta must be finite in float32, got -6\.8"):
        data.real("eta", -2 * most, np.dtype("float32"))


@pytest.mark.parametrize("dtype", [np.float32, "f4", "float32", np.dtype("f4"), ">f4", "<f4"])
def test_floating_gives_the_native_dtype(dtype):
    assert data.floating(dtype) == np.dtype("=f4")


def test_accept_keeps_what_was_given_and_of_a_list_makes_its_own():
    x, y = np.ones((2, 4)), np.ones((2, 3))
    kept, pair = pairs(2, 4, 3), (x, y)
    own = data.accept("data", kept).original
    assert own is not kept
    assert all(a is b for a, b in zip(own, kept))
    assert data.accept("data", pair).original is pair
    assert all(a is b for a, b in zip(data.accept("data", iter(kept)).original, kept))
    assert len(data.accept("data", pair)) == len(data.accept("data", kept)) == 2
    dataset = bpnet.Dataset(kept)
    assert data.accept("data", dataset) is dataset is dataset.original


def test_pairs_are_columns():
    x, labels = np.arange(8.0).reshape(2, 4), np.array([2, 0])
    columns = list(zip(x[:, :, None], labels.tolist()))
    for given in ((x, labels), (x, labels[:, None]), columns, bpnet.Dataset((x, labels))):
        (a, b), (c, d) = data.accept("data", given).pairs(3)
        assert a.tolist() == [[0], [1], [2], [3]] and c.tolist() == [[4], [5], [6], [7]]
        assert b.tolist() == [[0], [0], [1]] and d.tolist() == [[1], [0], [0]]
    for given in ((x, labels), (x, labels[:, None]), columns, bpnet.Dataset((x, labels))):
        assert [y.tolist() for _, y in data.accept("data", given).pairs(1)] == [[[2]], [[0]]]
    (_, b), _ = data.accept("data", (x, np.arange(6.0).reshape(2, 3))).pairs(3)
    assert b.tolist() == [[0], [1], [2]]
    kept = pairs(2, 4, 3)
    assert all(a is b for a, b in zip(data.accept("data", kept).pairs(3), kept))


def test_show_config_names_the_engine_that_runs(capsys):
    bpnet.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["bpnet"] == bpnet.__version__
    assert lines["engine"].split(",")[0] in lines["engines"].split(", ")
