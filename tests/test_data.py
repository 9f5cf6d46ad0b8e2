"""What callers pass, in any form and memory layout, and the sentences that refuse the rest."""

import pickle
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest
from conftest import pairs, parameters_of
from engines import same_bits
from nets import (
    CLASSES,
    FORMS,
    Frame,
    Sparse,
    count,
    each_class,
    each_dtype,
    face_of,
    make,
    train,
    trainer_of,
)

import bpcore
import bpnet
from bpnet import MLP, Dataset, Network, data, network, reference

SIZES = [4, 5, 3]


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


@each_dtype
@pytest.mark.parametrize("density", [0.1, 1.0], ids=["csr", "dense"])
def test_every_form_and_dtype_of_many_examples_is_packed_alike(dtype, density):
    """More of them than are taken at a time; half is exact in float16."""
    draw = np.random.RandomState(0)
    x = np.where(draw.rand(3000, 40) < density, 0.5, 0)
    x[:, 0] = 0.25
    y = np.eye(3)[draw.randint(3, size=3000)]
    assert ("CSR" in repr(Dataset((x, y), dtype=dtype))) == (density < 0.3)
    found = []
    for kind in "defg":
        arrays = x.astype(kind), y.astype(kind)
        columns = [(a[:, None], b[:, None]) for a, b in zip(*arrays)]
        mixed = list(columns)
        mixed[1500] = x[1500][:, None].tolist(), np.repeat(y[1500], 2)[::2, None]
        for given in (arrays, columns, mixed, tuple(map(np.asfortranarray, arrays))):
            net = make("network", sizes=[40, 3], dtype=dtype)
            train(net, given, 1, m=100)
            found.append(parameters_of(net))
    assert all(same_bits(each, found[0]) for each in found)


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_what_is_packed_is_not_packed_again(form):
    """Of a Dataset, nothing; of a pair that fits, X stays where it is."""
    draw = np.random.RandomState(0)
    x = draw.rand(60000, 50) * (draw.rand(60000, 50) < (0.2 if form == "csr" else 1))
    labels, net = draw.randint(3, size=60000), make("network", sizes=[50, 3])
    dataset, pair = Dataset((x, labels)), (x, labels)
    assert (dataset.nbytes == x.nbytes + labels.nbytes) == (form == "dense")
    for given in [dataset] + [pair] * (form == "dense"):
        tracemalloc.start()
        try:
            net.evaluate(given)
            train(net, given, 1, m=100, judged_by=given)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert most < dataset.nbytes / 2  # what the core works in


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


def test_a_network_of_one_output_counts_the_labels_that_are_zero():
    """The argmax of one output is 0: so does the original."""
    net = Network([4, 1], seed=1)
    x = np.ones((4, 1))
    assert net.evaluate([(x, label) for label in (0, 1, 0.0, 7, [[0]])]) == 3
    labels = np.array([0, 1, 0, 7, 0])
    for given in (labels, labels[:, None]):
        pair = np.ones((5, 4)), given
        assert net.evaluate(pair) == net.evaluate(Dataset(pair)) == 3
    net.feedforward = lambda a: np.zeros((1, 1))
    for given in (labels, labels[:, None]):
        pair = np.ones((5, 4)), given
        assert net.evaluate(pair) == net.evaluate(Dataset(pair)) == 3


def test_accept_keeps_what_was_given_and_of_a_list_makes_its_own():
    x, y = np.ones((2, 4)), np.ones((2, 3))
    kept, pair = pairs(2, 4, 3), (x, y)
    own = data.accept("data", kept).original
    assert own is not kept
    assert all(a is b for a, b in zip(own, kept))
    assert data.accept("data", pair).original is pair
    assert all(a is b for a, b in zip(data.accept("data", iter(kept)).original, kept))
    assert len(data.accept("data", pair)) == len(data.accept("data", kept)) == 2
    dataset = Dataset(kept)
    assert data.accept("data", dataset) is dataset is dataset.original


def test_pairs_are_columns():
    x, labels = np.arange(8.0).reshape(2, 4), np.array([2, 0])
    columns = list(zip(x[:, :, None], labels.tolist()))
    for given in ((x, labels), (x, labels[:, None]), columns, Dataset((x, labels))):
        (a, b), (c, d) = data.accept("data", given).pairs(3)
        assert a.tolist() == [[0], [1], [2], [3]] and c.tolist() == [[4], [5], [6], [7]]
        assert b.tolist() == [[0], [0], [1]] and d.tolist() == [[1], [0], [0]]
    for given in ((x, labels), (x, labels[:, None]), columns, Dataset((x, labels))):
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


# Forms of examples.  A row: how the same examples may come, and what a plain pair of them is.


X = np.where(np.random.RandomState(0).rand(30, 4) < 0.4, 0.0, 0.5)
X[:, 1] *= np.arange(30) / 16
LABELS = np.random.RandomState(1).randint(3, size=30)
LABELS[0] = 1
ONE_HOT, BITS = np.eye(3)[LABELS], LABELS % 2
OPENED = np.random.RandomState(2).rand(30)  # in [0, 1), and no label


def objects(array):
    return array.astype(object)


def masked(array, *where):
    found = np.ma.array(array, mask=np.zeros(array.shape, bool))
    if where:
        found[where] = np.ma.masked
    return found


INPUTS = {
    "array": lambda: X,
    "columns first": lambda: np.asfortranarray(X),
    "rows in a list": lambda: X.tolist(),
    "arrays in a list": lambda: list(X),
    "DataFrame": lambda: Frame(X),
    "DataFrame of objects": lambda: Frame(objects(X)),
    "fractions": lambda: np.frompyfunc(Fraction, 1, 1)(X),
    "masked, nothing of it": lambda: masked(X),
    "matrix": lambda: X.view(np.matrix),
    "sparse": lambda: Sparse(X),
    "sparse, in no order": lambda: Sparse(X, shuffled=True),
}
TARGETS = {  # what is desired of three outputs, or of one, in the form of an array and others
    3: {
        "labels": lambda: LABELS,
        "labels in a list": lambda: LABELS.tolist(),
        "labels in a tuple": lambda: tuple(LABELS.tolist()),
        "Series": lambda: Frame(LABELS),
        "a column of labels": lambda: LABELS[:, None],
        "whole numbers": lambda: LABELS * 1.0,
        "labels of objects": lambda: objects(LABELS),
        "outputs": lambda: ONE_HOT,
        "outputs in a list": lambda: ONE_HOT.tolist(),
        "outputs of bool": lambda: ONE_HOT > 0,
        "outputs of uint8": lambda: ONE_HOT.astype(np.uint8),
        "outputs of objects": lambda: objects(ONE_HOT > 0),
    },
    1: {
        "column": lambda: OPENED[:, None],
        "flat": lambda: OPENED,
        "list": lambda: OPENED.tolist(),
        "Series": lambda: Frame(OPENED),
        "objects": lambda: objects(OPENED),
    },
}


def own_backprop(*arguments, **options):
    return make("network2, backprop", *arguments, **options)


def trained_on(given, n_out=3, kind="network", **options):
    """Return all that a network of this kind is and says of examples in a form."""
    net = make(kind, sizes=[4, 5, n_out])
    train(net, given, 2, eta=0.5, judged_by=given, **options)
    said = [np.array(record.get("validation_accuracy", 0.0)) for record in net.history]
    cost = getattr(net, "cost", None)
    said.append(np.array(net.total_cost(given, 0.1) if hasattr(net, "total_cost") else 0.0))
    said.append(np.array(cost(given) if kind == "MLP" else 0.0))
    return [*parameters_of(net), *said]


KINDS = ["network", "network2", "network2, own cost", "network, update_mini_batch", "MLP"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", INPUTS)
def test_every_form_of_inputs_trains_as_the_plain_pair_does(inputs, kind):
    plain = trained_on((X, ONE_HOT), kind=kind)
    for given in ((INPUTS[inputs](), LABELS), [INPUTS[inputs](), ONE_HOT]):
        assert same_bits(trained_on(given, kind=kind), plain)
        dataset = Dataset(given)
        assert same_bits(trained_on(dataset, kind=kind), plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_out", "form"), [(n, form) for n in TARGETS for form in TARGETS[n]])
def test_every_form_of_targets_trains_as_the_plain_pair_does(n_out, form, kind):
    plain = trained_on((X, ONE_HOT if n_out == 3 else OPENED[:, None]), n_out, kind)
    y = TARGETS[n_out][form]()
    assert same_bits(trained_on((X, y), n_out, kind), plain)
    assert same_bits(trained_on([X.tolist(), y], n_out, kind), plain)
    if n_out == 3 or form == "column":
        assert same_bits(trained_on(Dataset((X, y)), n_out, kind), plain)
    if isinstance(y, (list, np.ndarray)):  # the same, in columns
        columns = tuple(
            (row[:, None], np.reshape(t, (-1, 1)) if np.size(t) > 1 else t)
            for row, t in zip(X, y)
        )  # which training leaves in its order
        assert same_bits(trained_on(columns, n_out, kind), plain)


@pytest.mark.parametrize("inputs", INPUTS)
def test_predict_takes_every_form_of_rows(inputs):
    net = make("MLP", sizes=[4, 5, 3])
    expected = net.predict(X)
    assert same_bits([net.predict(INPUTS[inputs]())], [expected])
    assert same_bits([net.predict((INPUTS[inputs](), LABELS))], [expected])


def test_numbers_are_the_outputs_of_one_that_does_not_classify():
    """Also whole ones, which a Dataset holds as labels."""
    for y in (OPENED * 20 - 3, LABELS * 4.0, LABELS + 8):
        found = []
        for given in (y[:, None], y, y.tolist()):
            net = MLP([4, 5, 1], output="squared", seed=1)
            train(net, (X, given), 2)
            found.append(parameters_of(net))
        if y.dtype != float or (y == LABELS * 4).all():
            net = MLP([4, 5, 1], output="squared", seed=1)
            train(net, Dataset((X, y)), 2)
            found.append(parameters_of(net))
        assert all(same_bits(each, found[0]) for each in found)


def of_pandas():
    pd = pytest.importorskip("pandas")
    return [
        (pd.DataFrame(X), pd.Series(LABELS, index=np.arange(30)[::-1])),  # by position
        (pd.DataFrame(X[:, :3]).assign(last=X[:, 3]), pd.Series(LABELS, dtype="Int64")),
        [pd.DataFrame(X, dtype=object), pd.Series(LABELS).astype("category")],
        (pd.DataFrame(X), pd.get_dummies(pd.Series(LABELS))),
        (pd.DataFrame(X, dtype="Float64"), pd.DataFrame(LABELS)),
    ]


def of_scipy():
    sparse = pytest.importorskip("scipy.sparse")
    twice = sparse.coo_array(X)
    rows, columns = twice.coords
    half = np.concatenate([twice.data, twice.data]) / 2
    halves = (half, (np.tile(rows, 2), np.tile(columns, 2)))
    zeros = sparse.csr_array(X + 1)
    zeros.data[:] = X.ravel()
    kinds = (sparse.csr_array, sparse.csc_array, sparse.coo_matrix, sparse.csr_matrix)
    return [
        *((kind(X), LABELS) for kind in kinds),
        [sparse.lil_array(X), ONE_HOT],
        (sparse.coo_array(halves, shape=X.shape), LABELS),
        (zeros, LABELS),
    ]


@pytest.mark.parametrize("forms", [of_pandas, of_scipy])
@pytest.mark.parametrize("kind", KINDS)
def test_what_other_packages_make_trains_as_the_plain_pair_does(kind, forms):
    plain = trained_on((X, ONE_HOT), kind=kind)
    for given in forms():
        assert same_bits(trained_on(given, kind=kind), plain)
        assert same_bits(trained_on(Dataset(given), kind=kind), plain)


def two_in_each_row(n, n_in):
    """Return a sparse matrix (n, n_in): 1.5 in column 7, a stored zero in the last."""
    x = Sparse(np.zeros((0, 0)))
    x.shape, x.nnz = (n, n_in), 2 * n
    x.indptr = np.arange(0, 2 * n + 1, 2)
    x.indices, x.data = np.tile([7, n_in - 1], n), np.tile([1.5, 0.0], n)
    return x


def most_traced(call):
    """Return what call does, and the most bytes that were allocated meanwhile."""
    tracemalloc.start()
    try:
        found = call()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_in", [60_000, 2**20])
def test_a_sparse_matrix_goes_to_the_core_without_a_dense_copy(dtype, n_in):
    """And without its zeros; the caller's memory is not the Dataset's."""
    x = two_in_each_row(2000, n_in)
    dataset, most = most_traced(lambda: Dataset((x, np.zeros(2000, int)), dtype=dtype))
    assert most < 2000 * 60_000  # a byte for each would be that
    assert "CSR, 0% nonzero" in repr(dataset)
    x.data[:] = x.indices[:] = -1
    column = dataset[1999][0]
    assert column[7] == 1.5 and np.count_nonzero(column) == 1
    assert same_bits(pickle.loads(pickle.dumps(dataset))[1999][0], column)


def test_a_network_of_sparse_inputs_takes_no_memory_for_dense_ones():
    """Not to train, to look at data or to predict: what it takes is that of its parameters."""
    x, labels = two_in_each_row(200, 2**18), [0, 1] * 100
    net = MLP([2**18, 1], seed=1)

    def run():
        net.train((x, labels), 1, 10, 0.5, validation_data=(x, labels), verbose=False)
        return net.predict(x)

    assert most_traced(run)[1] < 200 * 2**18  # a byte for each would be that


def test_more_columns_than_16_bits_train_as_the_same_rows_dense():
    x = np.zeros((20, 70_000))
    x[np.arange(20), np.arange(20) * 3600] = x[:, -1] = 0.5
    parts = []
    for given in (x, Sparse(x), Dataset((Sparse(x), LABELS[:20]))):
        net = MLP([70_000, 3], seed=1)
        net.train(
            given if isinstance(given, Dataset) else (given, LABELS[:20]),
            2,
            3,
            0.5,
            verbose=False,
        )
        parts.append([*net.biases, *net.weights, net.predict(x), net.predict(Sparse(x))])
    assert same_bits(parts[1], parts[0]) and same_bits(parts[2], parts[0])


def test_an_array_of_another_package_is_asked_for_once():
    frames = Frame(X), Frame(LABELS)
    for call in (
        lambda: Dataset(frames),
        lambda: train(make("network", sizes=[4, 3]), frames, 3, judged_by=frames),
        lambda: make("network2", sizes=[4, 3]).total_cost(frames, 0.0),
    ):
        for frame in frames:
            frame.asked = 0
        call()
        assert all(frame.asked in (1, 2) for frame in frames)  # as training data, as held out


COLUMN, TARGET = np.ones((4, 1)), np.ones((3, 1))
FLAT = [1.0] * 4
PAIRS = {  # what is given, and whether it is (X, Y)
    "two arrays": ((X, ONE_HOT), True),
    "two arrays in a list": ([X, ONE_HOT], True),
    "two square arrays in a list": ([np.eye(2), np.eye(2)], True),
    "two images": ((np.ones((2, 2, 2)), [0, 1]), True),
    "images in a list": ([np.ones((5, 2, 2)), [0, 1, 0, 1, 0]], True),
    "rows in a list": (([FLAT] * 5, [0] * 5), True),
    "rows in a list of two": ([[FLAT] * 5, [0] * 5], True),
    "two rows": (([FLAT, FLAT], [0, 1]), True),
    "rows in a tuple": (((FLAT,) * 5, (0,) * 5), True),
    "columns apart from labels": (([COLUMN] * 5, [0] * 5), True),
    "an example": ([(COLUMN, TARGET)], False),
    "two examples": ([(COLUMN, TARGET), (COLUMN, TARGET)], False),
    "two examples in a tuple": (((COLUMN, TARGET), (COLUMN, TARGET)), False),
    "two examples as lists": ([[COLUMN, TARGET], [COLUMN, TARGET]], False),
    "two examples as lists in a tuple": (([COLUMN, TARGET], [COLUMN, TARGET]), False),
    "two examples of nested lists": (
        [[COLUMN.tolist(), [[1]]], [COLUMN.tolist(), [[1]]]],
        False,
    ),
    "two examples stacked": ([np.ones((2, 4, 1))] * 2, False),
    "two flat examples": ([(FLAT, FLAT), (FLAT, FLAT)], False),
    "three examples": ([[COLUMN, TARGET]] * 3, False),
    "an array of examples": (np.ones((3, 2, 4, 1)), False),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_a_pair_of_arrays_and_what_is_two_examples(name):
    given, is_pair = PAIRS[name]
    found = data.accept("data", given)
    assert isinstance(found, data._Arrays) == is_pair
    assert len(found) == len(given[0] if is_pair else given)


@each_class
def test_a_pair_in_a_list_stays_as_it_is_and_is_what_a_script_is_given(kind):
    """It is no list of examples to shuffle."""
    given = [Frame(X), Frame(LABELS)]
    kept, net, seen = list(given), make(kind, sizes=[4, 5, 3]), []
    if kind != "MLP":
        name = "evaluate" if kind == "network" else "accuracy"
        setattr(net, name, lambda held_out, **options: seen.append(held_out) or 1)
    options = {"monitor_evaluation_accuracy": True} if kind == "network2" else {}
    train(net, given, 2, judged_by=given, **options)
    assert all(a is b for a, b in zip(given, kept, strict=True))
    for held_out in seen:
        assert all(a is b for a, b in zip(held_out, kept, strict=True))
    assert len(seen) == (0 if kind == "MLP" else 2)


# What outputs reach, and what inputs saturate


BOOK = ["network", "network2", "network2, quadratic"]


def heard(call):
    """Return what call warns of, as (line of this file, words)."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    assert all(each.filename == __file__ for each in found)
    return [str(each.message) for each in found]


def beyond(name, output, wanted, got):
    remedy = "scale y to that, or use" if "[" in wanted else "use"
    return (
        f"{name}: y must be {wanted}, what the output {output} can reach, got {got}: {remedy} "
        f'bpnet.MLP(sizes, output="squared")'
    )


BEYOND = [
    (ONE_HOT * 2 - 1, "-1 in row 0, column 0"),
    (ONE_HOT * 9 + 8, "8 in row 0, column 0"),
    (np.where(np.arange(30)[:, None] == 29, 1.5, ONE_HOT), "1.5 in row 29, column 0"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("y", "got"), BEYOND)
@pytest.mark.parametrize("kind", BOOK)
def test_the_books_networks_warn_once_of_what_outputs_do_not_reach(kind, y, got, form):
    """The book trains on without a word; the caller's line is named."""
    given = FORMS[form]([(a[:, None], b[:, None]) for a, b in zip(X, y)], "float64")
    where = "training_data[1]" if form == "pair" else "training_data"
    output = "cross-entropy" if kind == "network2" else "quadratic"
    for options in ({}, {"judged_by": given, **face_of(kind).figures}):
        net = make(kind, sizes=[4, 5, 3])
        said = heard(
            lambda net=net, options=options: net.SGD(
                list(given) if form == "list" else given,
                2,
                5,
                0.1,
                verbose=False,
                **({face_of(kind).held_out: given} if options else {}),
                **(face_of(kind).figures if options else {}),
            )
        )
        assert said == [beyond(where, output, "in [0, 1]", got)]


def test_a_cost_of_what_outputs_do_not_reach_is_warned_of():
    """It may be less than 0, of the most wrong answer."""
    net, y = make("network2", sizes=[4, 5, 3]), ONE_HOT * 9 + 8
    net.biases[-1][:] = 50
    said = heard(lambda: net.total_cost((X, y), 0.0))
    assert said == [beyond("data[1]", "cross-entropy", "in [0, 1]", "8 in row 0, column 0")]


def test_a_subclass_that_trains_is_the_caller():
    class Mine(Network):
        def SGD(self, *arguments, **options):
            super().SGD(*arguments, **options)

    said = heard(lambda: Mine([4, 3], seed=1).SGD((X, ONE_HOT * 2), 1, 5, 0.1, verbose=False))
    assert len(said) == 1


@pytest.mark.parametrize("output", reference.OUTPUTS)
def test_an_mlp_refuses_what_its_output_does_not_reach(output):
    least, most = reference.OUTPUTS[output][1].targets
    net = MLP([4, 5, 3], output=output, seed=1)
    wanted = f"in [{least}, {most}]" if np.isfinite(most) else f"at least {least}"
    inside = np.clip(ONE_HOT * 7 - 3, least, most)
    for outside in (n for n in (least - 0.5, most + 0.5) if np.isfinite(n)):
        y = inside.copy()
        y[3, 1] = outside
        for call in (
            lambda y=y: net.train((X, y), 1, 5, 0.1),
            lambda y=y: net.train(
                (X, inside), 1, 5, 0.1, validation_data=(X, y), monitor=["validation_cost"]
            ),
            lambda y=y: net.cost((X, y)),
            lambda y=y: net.gradient((X, y)),
            lambda y=y: net.gradients((X, y)),
        ):
            with pytest.raises(ValueError) as raised:
                call()
            assert str(raised.value).split("[1]", 1)[1] == beyond(
                "", output, wanted, f"{outside:g} in row 3, column 1"
            )
    rounded = inside + np.where(inside == 1, np.finfo(np.float32).eps, 0)
    net.train((X, rounded), 1, 5, 0.1)


def test_what_y_is_for_a_cost_of_the_scripts_own_is_not_ours_to_say(monkeypatch):
    y = ONE_HOT * 2 - 1
    own = make("network", sizes=[4, 5, 3])
    own.cost_derivative = lambda a, y: a - (y + 1) / 2
    for net in (own, make("network2, own cost", sizes=[4, 5, 3])):
        assert heard(lambda net=net: train(net, (X, y), 1)) == []
    monkeypatch.setattr(network, "sigmoid", np.tanh)
    assert heard(lambda: train(make("network", sizes=[4, 5, 3]), (X * 100, y), 1)) == []


SCALE = (
    "{}: the inputs are large, a root mean square of {:.3g} where about 1 is best: neurons "
    "saturate and hardly learn; divide pixels by 255, or standardise, "
    "(X - X.mean(0)) / X.std(0)"
)
DRAW = np.random.RandomState(3)
PIXELS = np.where(DRAW.rand(200, 20) < 0.2, DRAW.randint(1, 256, (200, 20)), 0)
OUTLIERS = DRAW.standard_cauchy((999, 2)) ** 3


def standardised(x):
    return (x - x.mean(0)) / x.std(0)


GOOD_INPUTS = {
    "pixels / 256": PIXELS / 256,
    "pixels / 255, standardised": standardised(PIXELS),
    "outliers, standardised": standardised(OUTLIERS),
    "outliers, in front": standardised(OUTLIERS)[np.argsort(-abs(OUTLIERS[:, 0]))],
    "one in a hundred rows": standardised(np.where(np.arange(900) % 100 == 0, 1e9, 1)[:, None]),
    "one-hot": np.eye(50),
    "zeros": np.zeros((5, 3)),
    "an example": np.full((1, 3), 9.9),
}


@pytest.mark.parametrize("name", GOOD_INPUTS)
@each_class
def test_inputs_of_about_1_are_never_warned_of(kind, name):
    x = GOOD_INPUTS[name]
    net = make(kind, sizes=[x.shape[1], 4, 2])
    for given in (x, Sparse(x)):
        assert (
            heard(lambda net=net, given=given: train(net, (given, np.zeros(len(x), int)), 1))
            == []
        )


@each_class
@pytest.mark.parametrize("form", [*FORMS, "sparse"])
@pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
def test_inputs_that_saturate_sigmoids_are_warned_of_once(hidden, form, kind):
    """More rows or fewer than are looked at; not of neurons that have no end."""
    saturates = hidden in ("sigmoid", "tanh")
    for x in (PIXELS, PIXELS[:30] + 20.0, np.full((1, 20), 1e300)):
        labels, face = np.arange(len(x)) % 2, CLASSES[kind]
        if form == "sparse":
            given = Sparse(x), labels
        else:
            given = FORMS[form](
                list(zip(x[:, :, None] * 1.0, np.eye(2)[labels][:, :, None])), "float64"
            )
        net = make(kind, sizes=[20, 4, 2], hidden=hidden)
        rows = x[:: -(-len(x) // 64)]
        with np.errstate(over="ignore"):
            size = sorted(np.square(rows, dtype=float).mean(1) ** 0.5)[len(rows) // 2]
        said = heard(lambda: trainer_of(net)(given, 1, 50, 1e-9, verbose=False))
        assert said == [SCALE.format(face.name, size)] * saturates


@each_class
def test_without_a_hidden_layer_it_is_the_output_that_saturates(kind):
    given = PIXELS, np.arange(200) % 2
    net = make(kind, sizes=[20, 2])
    assert len(heard(lambda: trainer_of(net)(given, 1, 4, 0.1))) == 1
    if kind == "MLP":
        net = MLP([20, 2], output="squared", seed=1)
        assert heard(lambda: train(net, given, 1, eta=1e-6)) == []


@each_class
def test_an_error_comes_before_a_warning_and_a_warning_before_any_change(kind, nothing_changes):
    given, net = (PIXELS, np.arange(200) % 2), make(kind, sizes=[20, 4, 2])
    with pytest.raises(ValueError, match="epochs must be at least 0"):
        train(net, given, -1)
    with nothing_changes(net), pytest.raises(UserWarning, match="the inputs are large"):
        train(net, given, 1)  # warnings are errors here


# Rows that stay where they are

FORMATS = {  # what the core reads, and how rows may lie
    "between others": lambda x: np.pad(x.astype("f4"), 1)[1:-1, 1:-1],
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x.astype("f4")[::-1],
    "big-endian": lambda x: x.astype(">f4"),
    "by columns": lambda x: np.asfortranarray(x, "f4"),
    "bool": lambda x: x > -1,
    **{str(dtype): lambda x, dtype=dtype: x.astype(dtype) for dtype in bpcore.INPUTS[:3]},
    **{
        str(dtype): lambda x, dtype=dtype: (x * 3).astype(dtype) for dtype in bpcore.INPUTS[3:7]
    },
    **{
        str(dtype): lambda x, dtype=dtype: np.abs(x * 3).astype(dtype)
        for dtype in bpcore.INPUTS[7:]
    },
}


def rows(n=50, n_in=400):
    """Return rows that are not few, some of whose columns are no normal float32."""
    draw = np.random.RandomState(0)
    x = draw.randn(n, n_in)
    x[:, ::10] = 3e-41
    return x, np.eye(3)[draw.randint(3, size=n)]


def asked(kind, dtype, given, n_threads, m):
    """Return all that a network says of examples while it is trained on them."""
    net = make(kind, dtype=dtype, sizes=[400, 20, 3])
    net.weights[0][:, ::10] = 0  # so that numbers that are not normal are seen
    figures = {**face_of(kind).figures, "n_threads": n_threads}
    train(net, given, 2, judged_by=given, m=m, **figures)
    said = [*parameters_of(net), net.predictor(n_threads)(given)]
    if kind == "MLP":
        nabla_b, nabla_w = net.gradient(given)
        said += [*nabla_b, *nabla_w, np.array(net.cost(given)), net.predict(given)]
        gradients = net.gradients(given, n_threads)
        for rows in (None, range(3, len(gradients)), range(len(gradients))[::-2]):
            said += sum(gradients(rows), [])
    return said


@each_class
@each_dtype
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("n_threads", "m"), [(1, 1), (1, 8), (2, 8), (2, 200)])
def test_rows_that_stay_where_they_are_have_the_bits_of_a_copy(
    kind, dtype, form, n_threads, m, monkeypatch
):
    x, y = rows()
    x = FORMATS[form](x)
    copied = asked(kind, dtype, (x, y), n_threads, m)
    monkeypatch.setattr(data, "_LARGE_BYTES", 0)
    assert same_bits(asked(kind, dtype, (x, y), n_threads, m), copied)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Return what writes rows to a file and maps them; they count as many."""
    monkeypatch.setattr(data, "_LARGE_BYTES", 2**20)

    def write(x, mode="r"):
        np.save(tmp_path / "x.npy", x)
        return np.load(tmp_path / "x.npy", mmap_mode=mode)

    return write


@each_class
@each_dtype
@pytest.mark.parametrize("form", [*map(str, bpcore.INPUTS), "bool"])
def test_a_mapped_file_takes_no_memory(kind, dtype, form, mapped):
    x = mapped(FORMATS[form](np.random.RandomState(0).randn(30_000, 150)))
    labels, net = np.arange(len(x)) % 3, make(kind, dtype=dtype, sizes=[150, 3])

    def use():
        dataset = Dataset((x, labels), dtype=dtype)
        for given in (dataset, (x, labels)):
            train(net, given, 1, m=100, judged_by=given)
            count(net, given)
        net.predictor()(x)

    _, most = most_traced(use)
    assert most < x.size  # a byte for each item


@each_dtype
@pytest.mark.parametrize("given", bpcore.INPUTS, ids=str)
def test_every_number_is_converted_as_numpy_does(dtype, given, monkeypatch):
    monkeypatch.setattr(data, "_LARGE_BYTES", 0)
    few = np.arange(2**16, dtype=np.uint16)
    values = few.view(given) if given.itemsize == 2 else few.view(np.int16).astype(given)
    if given.kind in "iu":
        least, most = np.iinfo(given).min, np.iinfo(given).max
        steps = [(least + k, most - k, most // (k + 3)) for k in range(100)]
        values = np.append(values, np.array(steps, given))
    elif given.itemsize > 2:
        values = np.append(values, np.random.RandomState(0).randn(1000) * 1e-39).astype(given)
    values = values[np.isfinite(values)][:, None]
    net = MLP([1, 1], output="squared", dtype=dtype)
    net.weights, net.biases = [np.ones((1, 1), dtype)], [np.zeros((1, 1), dtype)]
    assert same_bits([net.predict(values) + 0], [values.astype(dtype) + 0])  # -0.0 is 0.0


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_dataset_of_a_mapped_file_is_the_dataset_of_its_rows(mode, mapped):
    x = np.random.RandomState(0).randn(6000, 50).astype("f4")
    labels = np.arange(len(x)) % 3
    copy, dataset = Dataset((x, labels)), Dataset((mapped(x, mode), labels))
    again = pickle.loads(pickle.dumps(dataset))
    for each in (dataset, again):
        assert same_bits(each[7][0], copy[7][0])
        assert all(same_bits(a, b) for (a, _), (b, _) in zip(each, copy))
        assert repr(each)[:75] == repr(copy)[:75]
    kept = x.copy()
    x[...] = 7  # which is in memory, and so was copied
    assert same_bits(copy[7][0], kept[7][:, None].astype(float))


@pytest.mark.parametrize(("form", "wrong"), [("float32", np.nan), ("float64", 1e300)])
def test_a_wrong_item_of_a_mapped_file_is_said_where(form, wrong, mapped):
    x = FORMATS[form](np.random.RandomState(0).randn(6000, 50))
    x[5000, 20] = wrong
    x, net = mapped(x), Network([50, 3], dtype="float32")
    got = "nan" if np.isnan(wrong) else "inf"
    place = rf" must be finite in float32, got {got} in row 5000, column 20$"
    for call, name in (
        (lambda: Dataset((x, np.zeros(6000, int)), dtype="float32"), r"examples\[0\]"),
        (lambda: net.SGD((x, np.zeros(6000, int)), 1, 10, 0.5), r"training_data\[0\]"),
        (lambda: net.predictor()(x), "examples"),
    ):
        with pytest.raises(ValueError, match=name + place):
            call()
