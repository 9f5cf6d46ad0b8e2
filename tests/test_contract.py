"""docs/drop-in.md, point by point: laws that every face keeps, for scripts rely on them."""

import builtins
import collections
import copy
import functools
import importlib
import inspect
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import global_states, parameters_of
from engines import same_bits
from nets import (
    CLASSES,
    FACES,
    FAST,
    FORMS,
    KINDS,
    N,
    as_pair,
    copies,
    count,
    each_class,
    each_dtype,
    each_face,
    each_form,
    each_kind,
    each_trained,
    equal,
    examples,
    face_of,
    held_out,
    is_chapter_3,
    judge_of,
    make,
    passing,
    rules,
    shuffler,
    step,
    timeless,
    train,
    watched,
)

import bpnet.dropin  # noqa: F401
from bpnet import Dataset, mnist_loader, network, network2, reference
from bpnet.network import Network

SIZES = [6, 5, 3]
EPS = np.finfo(np.float64).eps


def net(kind="network", seed=5, sizes=SIZES, **options):
    return make(kind, seed, sizes, **options)


def close(a, b, steps=1, dtype="float64"):
    """Whether parameters agree but for the rounding of some steps of training.

    A step adds at most m = 23 terms to a parameter of size 5 at most: (m + 2) 5 eps.  The
    gradient's own error enters times eta = 0.01: |x| < 4 times an error of delta that follows
    from z, a sum of 10 terms and of size 50 at most (150 eps of an activation), and from a few
    products, with the quadratic cost's sigmoid' or without: 75 eps in all, and 4 roundings of
    the decay.  So small a step hardly amplifies the difference of the one before.
    """
    limit = steps * 200 * np.finfo(dtype).eps
    return all(
        p.dtype == dtype and np.abs(p - q).max() <= limit
        for p, q in zip(parameters_of(a), parameters_of(b), strict=True)
    )


def looking(where, net, look, patch):
    """Let look() run where Python looks at the end of an epoch; return the options of SGD."""
    if where == "callback":
        return {"callback": lambda net, epoch: look() and None}
    if where == "print":
        patch.setattr(builtins, "print", lambda line: look() if line[:5] == "Epoch" else None)
        return {"verbose": True}
    face = face_of(net)
    counter = getattr(net, face.counter)

    def counting(data, *convert, **options):
        look()
        return counter(data, *convert, **options)

    setattr(net, face.counter, counting)
    return {"judged_by": held_out(), **face.counts}


each_look = pytest.mark.parametrize("where", ["counter", "callback", "print"])


# 1-4: attributes


@each_class
@pytest.mark.parametrize("sizes", [SIZES, tuple(SIZES), np.array(SIZES)], ids=type)
def test_01_sizes_is_the_object_passed(sizes, kind):
    assert net(kind, sizes=sizes).sizes is sizes


@each_dtype
@each_face
def test_01_attributes_are_the_originals_in_its_order_and_plain(kind, dtype):
    made = FACES[kind].cls(SIZES)
    assert list(vars(made)) == list(vars(FACES[kind].book(SIZES)))
    assert list(vars(made))[:4] == ["num_layers", "sizes", "biases", "weights"]
    assert made.num_layers == 3
    assert type(made.biases) is type(made.weights) is list
    assert [b.shape for b in made.biases] == [(5, 1), (3, 1)]
    assert [w.shape for w in made.weights] == [(5, 6), (3, 5)]
    assert {p.dtype for p in parameters_of(made)} == {np.dtype(np.float64)}
    assert {p.dtype for p in parameters_of(net(kind, dtype=dtype))} == {np.dtype(dtype)}
    made.note = "an attribute of the user's"
    assert not any(isinstance(getattr(type(made), name, None), property) for name in vars(made))
    assert type(type(made)) is type


REBOUND = {
    "list": list,
    "tuple": tuple,
    "object array": lambda w: np.array([*w, None], dtype=object)[:-1],
    "nested lists": lambda w: [*map(np.ndarray.tolist, w)],
}


@pytest.mark.parametrize("rebind", REBOUND)
@pytest.mark.parametrize("kind", FAST)
def test_02_rebound_parameters_are_seen_by_the_next_call(rebind, kind):
    made, other = net(kind, seed=None), net(kind, seed=None)
    for name in ("weights", "biases"):
        setattr(made, name, REBOUND[rebind](getattr(other, name)))
    x, y = examples(1)[0]
    assert np.array_equal(made.feedforward(x), other.feedforward(x))
    assert same_bits(sum(made.backprop(x, y), []), sum(other.backprop(x, y), []))
    assert count(made, held_out()) == count(other, held_out())
    for each in (made, other):
        random.seed(1)
        train(each, epochs=1)
    assert equal(made, other)


@each_kind
def test_02_items_and_elements_set_are_seen_by_the_next_call(kind):
    made = net(kind)
    x = examples(1)[0][0]
    made.weights[0] = np.zeros((5, 6))
    made.biases[0][:] = 0.0
    hidden = np.full((5, 1), 0.5)
    assert np.allclose(
        made.feedforward(x), reference.sigmoid(made.weights[1] @ hidden + made.biases[1])
    )
    before = made.feedforward(x)
    made.weights[1][2, 1] += 1e-3
    assert made.feedforward(x)[2] != before[2]


@pytest.mark.parametrize("how", ["SGD", "update_mini_batch"])
@each_kind
def test_03_training_rebinds_new_arrays_and_never_writes_to_old_ones(how, kind):
    made = net(kind)
    best, held, kept = (made.weights, made.biases), parameters_of(made), copies(made)
    for _ in range(2):
        if how == "SGD":
            train(made, epochs=2, judged_by=held_out(), **rules(kind), **face_of(kind).figures)
        else:
            step(made, examples(3), 3.0)
    assert same_bits(held, kept)
    assert made.weights is not best[0] and made.biases is not best[1]
    assert not any(np.shares_memory(p, q) for p in parameters_of(made) for q in held)


@each_face
def test_03_every_mini_batch_finds_new_arrays_that_are_never_written_again(kind):
    seen, face = [], FACES[kind]

    def looks(name):
        def look(self, *arguments, **options):
            seen.append([(a, a.copy()) for a in parameters_of(self)])
            return getattr(face.cls, name)(self, *arguments, **options)

        return look

    steps = ("update_mini_batch", face.counter)
    made = type("Watching", (face.cls,), {name: looks(name) for name in steps})(SIZES, seed=1)
    train(made, examples(9), 2, m=3, eta=3.0, judged_by=held_out(), **face.counts)
    assert len(seen) == 2 * (3 + 1)
    for arrays in seen:
        assert all(np.array_equal(array, copy) for array, copy in arrays)
    for before, after in zip(seen, seen[1:3]):
        assert not any(np.array_equal(a, b) for (_, a), (_, b) in zip(before, after))


@each_look
@each_kind
def test_03_each_epoch_is_handed_out_where_python_looks(where, kind, monkeypatch):
    made, seen = net(kind), []
    options = looking(where, made, lambda: seen.append(parameters_of(made)), monkeypatch)
    train(made, **options)
    monkeypatch.undo()
    assert len(seen) == 3
    for epochs, parameters in enumerate(seen, start=1):  # no copies: none is written again
        plain = net(kind)
        train(plain, epochs=epochs)
        assert same_bits(parameters, parameters_of(plain))


@each_kind
def test_04_results_are_fresh_writable_and_independent(kind):
    made = net(kind)
    x, y = examples(1)[0]
    for results in ([made.feedforward(x), made.feedforward(x)], sum(made.backprop(x, y), [])):
        for i, result in enumerate(results):
            result += 1.0
            others = results[:i] + results[i + 1 :] + parameters_of(made) + [x, y]
            assert not any(np.shares_memory(result, other) for other in others)


# 5-8: inputs


def labels_of(pairs):
    return [int(np.argmax(y)) if np.ndim(y) else y for _, y in pairs]


def with_labels(pairs):
    return as_pair(pairs)[0], np.array(labels_of(pairs))


EVERY_FORM = {
    "tuple": lambda pairs, dtype: tuple(pairs),
    "zip": lambda pairs, dtype: zip(*zip(*pairs)),
    "generator": lambda pairs, dtype: (pair for pair in pairs),
    "deque": lambda pairs, dtype: collections.deque(pairs),
    "lists of pairs": lambda pairs, dtype: [list(pair) for pair in pairs],
    "pair with labels": lambda pairs, dtype: with_labels(pairs),
    "Dataset of arrays": lambda pairs, dtype: Dataset(as_pair(pairs), dtype=dtype),
    "Dataset of labels": lambda pairs, dtype: Dataset(with_labels(pairs), dtype=dtype),
    "Dataset of a list of labels": lambda pairs, dtype: Dataset(
        [(x, label) for (x, _), label in zip(pairs, labels_of(pairs))], dtype=dtype
    ),
} | FORMS


@pytest.mark.parametrize("density", [0.1, 1.0], ids=["csr", "dense"])
@each_dtype
@each_trained
def test_05_data_of_every_form_gives_the_same_bits(kind, dtype, density):
    """Weights and figures, the lists that SGD returns among them.

    A zip is read once and serves every epoch; 150 examples are more than are packed at a time.
    """
    n, sizes = 150 if kind in FAST else N, [30, 5, 3]
    options = {"lmbda": 0.5} if rules(kind) else {}
    training = [(x, y.astype(dtype)) for x, y in examples(n, 0, sizes, density)]
    held = held_out(1, 16, sizes)
    if density < 1:  # of vectors, which may be costed as they are
        held = [(x, y.astype(dtype)) for x, y in examples(16, 1, sizes)]
    forms, found = EVERY_FORM, []
    if (kind, dtype) == ("network2, own cost", "float32"):  # fn gets labels as float64
        forms = [form for form in EVERY_FORM if "label" not in form]
    for form in ("list", *forms):
        made = net(kind, sizes=sizes, dtype=dtype)
        given = (EVERY_FORM[form](data, dtype) for data in (training, held))
        made.returned = train(
            made, next(given), 2, m=7, judged_by=next(given), **options, **face_of(made).figures
        )
        found.append((form, made))
    for form, made in found[1:]:
        assert equal(made, found[0][1]), form
        assert timeless(made.history) == timeless(found[0][1].history), form
        assert made.returned == found[0][1].returned, form
    key = face_of(kind).held_out.replace("_data", "_accuracy")
    assert [record[key] * 16 % 1 for record in made.history] == [0, 0]


class Backwards(np.ndarray):
    """A subclass whose operators and indices are not those of an array."""

    def __getitem__(self, index):
        return -1.0

    def __mul__(self, other):
        return -1.0

    def __array_ufunc__(self, *arguments, **options):
        return -1.0


def inside(array, fill=np.nan):
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
    """Return a read-only array on bytes that start at an odd address."""
    raw = np.frombuffer(b"\0" + array.tobytes(), array.dtype, offset=1)
    return raw.reshape(array.shape)


LAYOUTS = {
    "strided in NaN": inside,
    "negative strides": backwards,
    "odd address, read-only": odd_address,
    "big-endian": lambda a: a.astype(">f8"),
    "little-endian": lambda a: a.astype("<f8"),
    "Fortran": lambda a: np.asfortranarray(a.copy()),
    "matrix": lambda a: np.asmatrix(a.copy()),
    "masked": lambda a: np.ma.masked_array(a.copy()),
    "odd subclass": lambda a: a.copy().view(Backwards),
}
OTHERS = {  # small integers are exact in each
    **{dtype: functools.partial(np.ndarray.astype, dtype=dtype) for dtype in "efgqb?"},
    "nested lists": np.ndarray.tolist,
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS | OTHERS)
pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")


def laid_out(layout, n=11):
    """Return examples that every dtype holds, plain and laid out: bits for bool."""
    draw, lay = np.random.RandomState(2), (LAYOUTS | OTHERS)[layout]
    top = 2 if layout == "?" else 5
    plain = [(draw.randint(top, size=(6, 1)) * 1.0, y) for _, y in examples(n)]
    return plain, [(lay(x), lay(y)) for x, y in plain]


@each_layout
@each_face
def test_05_examples_of_any_layout_give_the_bits_of_plain_ones(kind, layout, nothing_changes):
    plain, odd = laid_out(layout)
    for dtype in ("float32", "float64"):
        one, two = (net(kind, dtype=dtype) for _ in range(2))
        options = {"judged_by": odd, **face_of(kind).figures}
        with nothing_changes(odd):
            for (x, y), (odd_x, odd_y) in zip(plain, odd):
                assert same_bits(one.feedforward(odd_x), two.feedforward(x))
                assert same_bits(one.backprop(odd_x, odd_y), two.backprop(x, y))
            step(one, odd[:3], 0.5)
            step(two, plain[:3], 0.5)
            train(one, list(odd), 2, **options)
            train(two, list(plain), 2, **options | {"judged_by": plain})
            assert count(one, odd) == count(two, plain)
        assert equal(one, two)
        assert timeless(one.history) == timeless(two.history)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [*FACES, "network, backprop", "network2, own cost"])
def test_05_pairs_of_arrays_of_any_layout_give_the_bits_of_plain_ones(
    kind, layout, nothing_changes
):
    plain = as_pair(examples())
    odd = tuple(map(LAYOUTS[layout], plain))
    found = []
    with nothing_changes(*odd):
        for pair in (odd, plain):
            made = net(kind)
            made.feedforward = functools.partial(type(made).feedforward, made)  # by hand, too
            train(made, pair, 2, judged_by=pair, **face_of(kind).figures)
            found.append((copies(made), timeless(made.history)))
    assert same_bits(found[0][0], found[1][0]) and found[0][1] == found[1][1]


@pytest.mark.parametrize("layout", LAYOUTS)
@each_face
def test_05_parameters_of_any_layout_give_the_bits_of_plain_ones(kind, layout, nothing_changes):
    for dtype in ("float32", "float64"):
        one, two = (net(kind, dtype=dtype) for _ in range(2))
        for name in ("biases", "weights"):
            wide = [p.astype(float) for p in getattr(one, name)]
            setattr(one, name, [*map(LAYOUTS[layout], wide)])
        x, y = examples(1)[0]
        with nothing_changes(*parameters_of(one)):
            assert same_bits(one.feedforward(x), two.feedforward(x))
            assert same_bits(one.backprop(x, y), two.backprop(x, y))
            train(one, epochs=1)
            train(two, epochs=1)
        assert equal(one, two)
        assert all(type(part) is np.ndarray for part in parameters_of(one))


@each_class
def test_05_overlapping_and_broadcast_arrays_give_the_right_results(kind):
    base = np.random.RandomState(0).randn(40)
    windows = np.lib.stride_tricks.sliding_window_view(base, 6)[:20]
    same = np.broadcast_to(np.float64(0.25), (6, 1))
    target = np.eye(3)[:, [1]]
    pairs = [(row[:, None], target) for row in windows] + [(same, target)]
    one, two = net(kind), net(kind)
    train(one, list(pairs))
    train(two, [(x.copy(), y.copy()) for x, y in pairs])
    assert equal(one, two)
    train(one, (windows, np.broadcast_to(target.T, (20, 3))))
    train(two, (windows.copy(), np.repeat(target.T, 20, axis=0)))
    assert equal(one, two)


LABELS = {
    "int": int,
    "int64": np.int64,
    "uint8": np.uint8,
    "float": float,
    "0-d": np.array,
    "(1,)": lambda j: np.array([j]),
    "(1, 1)": lambda j: np.array([[j]]),
    "vector": lambda j: np.eye(3)[:, [j]],
    "flat vector": lambda j: np.eye(3)[j] * 0.5,
}


@each_kind
def test_06_test_data_takes_labels_of_every_form(kind):
    for form in LABELS:
        made, plain, label = net(kind), held_out(), LABELS[form]
        expected = sum(int(np.argmax(made.feedforward(x)) == y) for x, y in plain)
        assert count(made, [(x, label(y)) for x, y in plain]) == expected
        mixed = [(x, label(y) if i % 2 else y) for i, (x, y) in enumerate(plain)]
        assert count(made, mixed) == expected
        assert count(made, as_pair(plain)) == expected
        rows = as_pair([(x, np.eye(3)[y]) for x, y in plain])
        assert count(made, rows) == expected


@pytest.mark.parametrize("form", [list, iter])
@each_trained
def test_06_held_out_data_may_be_the_training_data(form, kind):
    made, data = net(kind), form(examples())
    train(made, data, 2, judged_by=data, **face_of(kind).figures)
    name = face_of(kind).held_out.removesuffix("_data")
    for record in made.history:
        for figure in ("cost", "accuracy"):
            assert record[f"training_{figure}"] == record[f"{name}_{figure}"]


@pytest.mark.parametrize(
    "nothing", [None, [], (), iter([])], ids=["None", "[]", "()", "iterator"]
)
def test_06_empty_test_data_is_none(nothing, capsys):
    net().SGD(examples(), 2, 4, 0.1, test_data=nothing)
    assert capsys.readouterr().out == "Epoch 0 complete\nEpoch 1 complete\n"
    made = net("network2")
    assert train(made, epochs=1, judged_by=nothing) == ([], [], [], [])
    assert net().evaluate([]) == made.accuracy([]) == 0


@each_dtype
@each_face
def test_07_the_global_seeds_rule_biases_first(kind, dtype):
    face, found = FACES[kind], []
    for make_it in (
        lambda: parameters_of(face.cls(SIZES, dtype=dtype)),
        lambda: [p.astype(dtype) for p in parameters_of(face.book(SIZES))],
    ):
        np.random.seed(3)
        found.append([*make_it(), np.random.random(1)])
    assert same_bits(*found)
    np.random.seed(3)
    drawn = [np.random.randn(*p.shape) for p in found[0][:4]]
    scales = [1, 1, *([6**0.5, 5**0.5] if is_chapter_3(face.cls(SIZES)) else [1, 1])]
    for p, d, scale in zip(found[0], drawn, scales):
        assert (p == (d / scale).astype(dtype)).all()


@each_trained
def test_07_a_list_ends_up_shuffled_as_random_shuffle_leaves_it(kind):
    for n in (1, 2, 23, 64):
        data = examples(n)
        expected, made = list(data), net(kind, seed=None)
        random.seed(9)
        train(made, data, judged_by=held_out(), **face_of(kind).figures)
        state = random.getstate()
        random.seed(9)
        for _ in range(3):
            random.shuffle(expected)
        assert all(a is b for a, b in zip(data, expected, strict=True))
        assert random.getstate() == state


@each_class
def test_07_a_seed_draws_what_seeding_the_globals_draws_and_leaves_them_alone(kind):
    before = global_states()
    seeded = net(kind, seed=8)
    for epochs in (2, 1):
        train(seeded, epochs=epochs)
    assert global_states() == before
    np.random.seed(8)
    random.seed(8)
    plain = CLASSES[kind].cls(SIZES)
    for epochs in (2, 1):
        train(plain, epochs=epochs)
    assert equal(seeded, plain)


def as_the_book(made, data, epochs, m, **options):
    """Train at eta 0.01; return the book's network, trained alike."""
    judge, order = judge_of(made), list(data)
    random.seed(5)  # the seed of made
    judge.SGD(order, epochs, m, 0.01)
    train(made, list(data), epochs, m=m, eta=0.01, **options)
    return judge


@each_kind
def test_08_mini_batches_are_the_books_the_last_divided_by_its_own_length(kind):
    """Of the shuffled list, in its order."""
    for m in (1, 4, 22, 23, 24, 10**12):
        made = net(kind)
        assert close(made, as_the_book(made, examples(), 2, m), steps=46)


@each_kind
def test_08_any_depth_works(kind):
    for sizes in ([6, 3], [1, 1], [6, 1, 3], [6, 5, 4, 3], [6, 2, 9, 2, 7, 3]):
        made = net(kind, sizes=sizes)
        held = held_out(sizes=sizes)
        judge = as_the_book(made, examples(9, sizes=sizes), 2, 4, judged_by=held)
        assert close(made, judge, steps=6)


@each_look
@each_face
def test_08_what_a_hook_appends_to_the_callers_list_stays(where, kind, monkeypatch):
    made, data = net(kind), examples(5)
    kept = list(data)
    train(made, data, 2, **looking(where, made, lambda: data.append(None), monkeypatch))
    assert data[5:] == [None, None]
    assert sorted(map(id, data[:5])) == sorted(map(id, kept))


@each_trained
def test_08_no_epochs_leave_everything_as_it_is(kind, nothing_changes):
    made, data, face = net(kind), examples(), face_of(kind)
    biases, made.weights = made.biases, tuple(made.weights)
    weights, state = made.weights, shuffler(made)
    with nothing_changes(data, biases, weights):
        found = train(
            made, data, 0, judged_by=held_out(), patience=2, verbose=True, **face.figures
        )
    assert found == face.nothing
    assert made.biases is biases and made.weights is weights
    assert shuffler(made) == state
    assert (made.stopped_by, made.history) == ("epochs", [])


@each_trained
def test_08_eta_may_be_an_integer(kind):
    made, other = net(kind), net(kind)
    train(made, eta=1)
    train(other, eta=1.0)
    assert equal(made, other)


# 9-10: outputs


@each_face
def test_09_the_printed_lines_are_exact_and_go_through_print(kind, monkeypatch):
    made, printed = net(kind), []
    judge = judge_of(made)
    monkeypatch.setattr(builtins, "print", lambda *words: printed.append(" ".join(words)))
    for each, data in ((made, examples()), (judge, examples())):
        assert each.SGD(data, 2, 4, 0.1) == FACES[kind].nothing
    assert printed[: len(printed) // 2] == printed[len(printed) // 2 :]
    assert printed[0] in ("Epoch 0 complete", "Epoch 0 training complete")


@each_face
def test_10_results_are_plain(kind):
    made = net(kind)
    assert type(count(made, held_out())) is int
    assert step(made, examples(2), 0.1) is None
    nabla_b, nabla_w = made.backprop(*examples(1)[0])
    assert type(nabla_b) is type(nabla_w) is list


# 11: hooks


def hooks(cls, counter):
    """Return overrides that show, built on the methods of a class as they are now."""
    own = {name: getattr(cls, name, None) for name in HOOKS}

    def cost_derivative(self, output_activations, y):
        assert output_activations.shape == y.shape == (3, 1)
        return (output_activations - y) / (output_activations * (1 - output_activations))

    def backprop(self, x, y):
        assert (x.shape, y.shape) == ((6, 1), (3, 1))
        return tuple([2 * g for g in part] for part in own["backprop"](self, x, y))

    def update_mini_batch(self, mini_batch, eta, *more):
        assert eta == 0.01 and more in ((), (0.3, N))
        assert {x.shape for x, _ in mini_batch} == {(6, 1)}
        own["update_mini_batch"](self, mini_batch, 2 * eta, *more)

    def feedforward(self, a):
        return own["feedforward"](self, a)[::-1]

    def counts(self, data, *convert, **options):
        return 10 + own[counter](self, data, *convert, **options)

    def total_cost(self, data, lmbda, convert=False):
        assert lmbda == 0.3
        return 10 + own["total_cost"](self, data, lmbda, convert)

    return locals() | {counter: counts}


HOOKS = (
    "cost_derivative",
    "backprop",
    "update_mini_batch",
    "feedforward",
    "evaluate",
    "accuracy",
    "total_cost",
)
HOOKED = [
    *(("network", name) for name in HOOKS[:5]),
    *(("network2", name) for name in (*HOOKS[1:4], *HOOKS[5:])),
]


@pytest.mark.parametrize("where", ["subclass", "class", "instance"])
@pytest.mark.parametrize(("kind", "name"), HOOKED)
@each_form
def test_11_an_override_takes_effect(kind, name, where, form, capsys, monkeypatch):
    """It trains, counts and costs as the book's network of the same override does."""
    face, calls = FACES[kind], []
    hook = hooks(face.cls, face.counter)[name]

    @functools.wraps(hook)
    def counted(self, *arguments, **options):
        calls.append(arguments)
        return hook(self, *arguments, **options)

    made = net(kind)
    judge = judge_of(made, **{name: hooks(face.book, face.counter)[name]})
    if where == "subclass":
        made.__class__ = type("Hooked", (face.cls,), {name: counted})
    elif where == "class":
        monkeypatch.setattr(face.cls, name, counted)
    else:
        setattr(made, name, functools.partial(counted, made))
    options = {"lmbda": 0.3, **face.figures} if face.more else {}
    held = {"evaluation_data" if face.more else "test_data": FORMS[form](held_out(), "float64")}
    found = made.SGD(FORMS[form](examples(), "float64"), 2, 4, 0.01, **held, **options)
    printed = capsys.readouterr().out
    held = dict.fromkeys(held, held_out())
    random.seed(5)
    expected = judge.SGD(examples(), 2, 4, 0.01, **held, **options)
    assert calls
    assert close(made, judge, steps=24)
    assert list(vars(made))[:4] == ["num_layers", "sizes", "biases", "weights"]
    lines = capsys.readouterr().out
    if not face.more:
        assert printed == lines
        return
    assert [line.split(":")[0] for line in printed.split("\n")] == [
        line.split(":")[0] for line in lines.split("\n")
    ]
    assert found[1::2] == expected[1::2]
    # A step moves an output by 24 of close()'s errors times 6 inputs below 4, twice; ln(1 - a)
    # takes from that, and from eps, 1 / (1 - a), and three of them are added up.
    a = made.feedforward(np.hstack([x for x, _ in examples() + held_out()]))
    lost = 3 * 24 * 200 * 48 * EPS / np.minimum(a, 1 - a).min()
    for costs, true in zip(found[::2], expected[::2]):
        assert np.abs(np.subtract(costs, true)).max() <= lost < 1e-6
        assert all(f": {cost}\n" in printed for cost in costs)


@pytest.mark.parametrize(("kind", "name"), HOOKED)
def test_11_an_override_that_calls_super_changes_nothing_but_the_rounding_of_steps(kind, name):
    """A gradient by hand is added up in NumPy, and steps may share work; all else is alike."""
    made, plain, judge = net(kind), net(kind), net(kind)
    made.__class__ = passing(type(made), name)
    options = {"judged_by": held_out(), "eta": 0.01, **FACES[kind].figures}
    if name == "cost_derivative":  # of which no cost is known
        options["monitor"] = "training_accuracy"
    for each in (made, plain):
        train(each, **options)
    if name in FACES[kind].steps and (kind, name) != ("network", "update_mini_batch"):
        assert close(made, as_the_book(judge, examples(), 3, 4), steps=18)
    else:
        assert equal(made, plain)
        for record, same in zip(made.history, plain.history):
            for key in record.keys() - {"seconds"}:
                assert record[key] == pytest.approx(same[key], rel=1e-14)


def tanh(z):
    return np.tanh(z)


def tanh_prime(z):
    return 1 - np.tanh(z) ** 2


def book_prime(z):
    """The book's text of the derivative, where the sigmoid is tanh."""
    return np.tanh(z) * (1 - np.tanh(z))


@each_dtype
@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("suffix", ["", "_vec"])  # the book's name until 2015
@pytest.mark.parametrize("prime", [tanh_prime, book_prime])
def test_11_a_replaced_sigmoid_takes_effect(prime, suffix, kind, dtype, monkeypatch):
    """Four times as steep as a sigmoid, tanh makes of a network's errors as much more.  The
    book's derivative calls the sigmoid, whichever that is, until it is replaced itself."""

    class OfTanh(reference.QuadraticCost):
        @staticmethod
        def delta(z, a, y):
            return (a - y) * prime(z)

    made, face, calls = net(kind, dtype=dtype), face_of(kind), []
    judge = judge_of(made)
    judge._hidden = judge._output = tanh
    judge._hidden_prime = judge._output_prime = prime
    judge.cost = OfTanh if "quadratic" in kind else getattr(made, "cost", None)

    def recorded(z):
        return calls.append(z.shape) or tanh(z)

    monkeypatch.setattr(face.module, f"sigmoid{suffix}", recorded)
    if prime is tanh_prime:
        monkeypatch.setattr(face.module, f"sigmoid_prime{suffix}", prime)
    random.seed(5)
    train(made, list(examples()), 2, eta=0.01, judged_by=held_out())
    judge.SGD(examples(), 2, 4, 0.01)
    assert {(5, 1), (3, 1)} <= set(calls)
    assert close(made, judge, 4 * 24, dtype)
    x, y = examples(1)[0]
    tolerance = 4 * 24 * 200 * np.finfo(dtype).eps
    for method in ("feedforward", "backprop"):
        calls.clear()
        arguments = (x, y) if method == "backprop" else (x,)
        found, expected = (getattr(each, method)(*arguments) for each in (made, judge))
        assert calls
        for p, q in zip(found, expected):
            assert all(np.abs(a - b).max() <= 4 * tolerance for a, b in zip(p, q))
    calls.clear()
    assert count(made, held_out()) == judge.evaluate(held_out()) and calls
    if is_chapter_3(made):
        calls.clear()
        made.total_cost(held_out(), 0.0)
        assert calls


@each_class
def test_11_a_hook_that_computes_in_float64_leaves_the_network_in_float32(kind):
    made = net(kind, dtype="float32")
    made.backprop = lambda x, y: tuple(
        [g.astype(np.float64) for g in part] for part in type(made).backprop(made, x, y)
    )
    train(made, epochs=1)
    assert {p.dtype for p in parameters_of(made)} == {np.dtype(np.float32)}


def test_11_backprop_calls_cost_derivative():
    class Doubled(Network):
        def cost_derivative(self, output_activations, y):
            return 2 * super().cost_derivative(output_activations, y)

    x, y = examples(1)[0]
    made = Doubled(SIZES, seed=5)
    for single, double in zip(sum(net().backprop(x, y), []), sum(made.backprop(x, y), [])):
        assert np.allclose(2 * single, double, rtol=100 * EPS)


@pytest.mark.parametrize("how", ["in place", "new arrays"])
@each_look
@each_kind
def test_11_parameters_that_a_hook_sets_are_trained_on(where, how, kind, monkeypatch):
    def halve(net):
        if how == "in place":
            net.weights[0] *= 0.5
        else:
            net.weights = [0.5 * net.weights[0], net.weights[1]]

    made, by_hand, data = net(kind), net(kind), examples()
    train(made, **looking(where, made, lambda: halve(made), monkeypatch))
    monkeypatch.undo()
    for _ in range(3):
        train(by_hand, data, 1)
        halve(by_hand)
    assert equal(made, by_hand)


FAILURES = {
    "exception": (RuntimeError, None),
    "broken pipe": (BrokenPipeError, None),
    "Ctrl-C": (KeyboardInterrupt, lambda: signal.raise_signal(signal.SIGINT)),
}


@each_look
@each_kind
def test_11_what_fails_where_python_looks_leaves_the_epoch_that_it_saw(
    where, kind, monkeypatch
):
    for failure in FAILURES:
        made, plain, saw, data, order = net(kind), net(kind), [], examples(), examples()
        error, press = FAILURES[failure]

        def fail():
            saw.append((made.biases, made.weights))
            if len(saw) == 2:
                if press:
                    press()
                raise error

        options = {"judged_by": held_out(), "patience": 2}
        options |= looking(where, made, fail, monkeypatch)
        with pytest.raises(error):
            train(made, data, **options)
        monkeypatch.undo()
        assert made.biases is saw[1][0] and made.weights is saw[1][1]
        train(plain, order, 2)
        assert equal(made, plain)
        assert same_bits([x for x, _ in data], [x for x, _ in order])
        assert made.stopped_by is None
        assert len(made.history) == (1 if where == "counter" else 2)  # with figures
        train(made, data)  # and it goes on
        assert made.stopped_by == "epochs"


# 12-13: modules and persistence


def test_12_the_modules_expose_the_originals_names():
    names = ("Network", "sigmoid", "sigmoid_prime", "sigmoid_vec", "np", "random", "load")
    more = ("sys", "QuadraticCost", "CrossEntropyCost", "vectorized_result")
    for name, module in ("network", network), ("network2", network2):
        assert all(hasattr(module, each) for each in names + more * (name == "network2"))
        assert importlib.import_module(name) is module
    for name in ("load_data", "load_data_wrapper", "vectorized_result"):
        assert hasattr(mnist_loader, name)
    assert network2.vectorized_result is mnist_loader.vectorized_result
    assert importlib.import_module("mnist_loader") is mnist_loader
    z = np.linspace(-3, 3, 7)
    assert np.allclose(network.sigmoid_prime(z), network.sigmoid(z) * (1 - network.sigmoid(z)))


@each_face
def test_12_arguments_have_the_originals_names_and_order(kind):
    """Of chapter 1's the book's save is none; n of chapter 3's step has no default."""

    def positional(function):
        return [
            (p.name, getattr(p.default, "__name__", p.default))
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]

    cls, book = FACES[kind].cls, FACES[kind].book
    methods = ["__init__", "SGD", "update_mini_batch", "backprop", "feedforward"]
    methods += ["cost_derivative", "evaluate"] * (kind == "network")
    methods += ["accuracy", "total_cost"] * (kind == "network2")
    for method in methods:
        assert positional(getattr(cls, method)) == positional(getattr(book, method)), method
    assert [name for name, _ in positional(network2.Network.save)] == ["self", "filename"]
    assert [name for name, _ in positional(network2.load)] == ["filename"]


TUTORIAL = """
import bpnet.dropin
import mnist_loader, network
training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
net = network.Network([784, 30, 10])
net.SGD(training_data, {epochs}, 10, 3.0, test_data=test_data)
"""


def test_12_the_tutorials_lines_run_unchanged():
    """On the full MNIST where BPNET_DATA names it; elsewhere on the cache, or the sample."""
    seeded = "import random, numpy; random.seed(1); numpy.random.seed(1)" + TUTORIAL.format(
        epochs=2
    )
    seeded = "import sys; sys.modules['pooch'] = None  # no network\n" + seeded
    done = subprocess.run(
        [sys.executable, "-c", seeded], capture_output=True, text=True, timeout=300, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    correct, total = map(int, lines[-1].split(":")[1].split("/"))
    assert correct > total / 2  # guessing is a tenth; the tutorial's start may lose digits


PICKLED = {
    **{kind: KINDS[kind] for kind in (*FAST, "network2, own cost")},
    "network2, an object": lambda *a, **b: network2.Network(*a, network2.QuadraticCost(), **b),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", PICKLED)
def test_13_every_pickle_protocol_keeps_a_network_that_trains_on(protocol, kind):
    made = PICKLED[kind](SIZES, dtype="float32", seed=5)
    train(made, epochs=1)
    restored = pickle.loads(pickle.dumps(made, protocol))
    assert list(vars(restored)) == list(vars(made))
    for trained in (made, restored):
        trained.figures = train(trained, judged_by=held_out(), **face_of(made).figures)
    assert equal(made, restored) and made.figures == restored.figures
    assert restored.dtype == np.float32
    if is_chapter_3(made):
        for each in (made, restored):
            each.large_weight_initializer()  # from the stream of its own
        assert equal(made, restored)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
@each_kind
def test_13_copies_are_networks(duplicate, kind):
    made = net(kind)
    other = duplicate(made)
    train(made)
    assert not equal(made, other)
    assert equal(other, net(kind))
    assert getattr(other, "cost", None) is getattr(made, "cost", None)
    if duplicate is copy.deepcopy:
        train(other)
        assert equal(other, made)


def trained(nets):
    for made in nets:
        train(made)
    return nets


def test_13_a_spawned_process_can_train_networks():
    made = [net(kind) for kind in FACES]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(trained, (made,))
    assert all(map(equal, found, trained(made)))


# What cPickle of Python 2 wrote for the original's Network([2, 1]), protocol 0.
PYTHON_2 = b"""ccopy_reg
_reconstructor
p1
(cnetwork
Network
p2
c__builtin__
object
p3
NtRp4
(dp5
S'sizes'
p6
(lp7
I2
aI1
asS'weights'
p8
(lp9
cnumpy.core.multiarray
_reconstruct
p10
(cnumpy
ndarray
p11
(I0
tS'b'
tRp12
(I1
(I1
I2
tcnumpy
dtype
p13
(S'f8'
I0
I1
tRp14
(I3
S'<'
NNNI-1
I-1
I0
tbI00
S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf0?\\x00\\x00\\x00\\x00\\x00\\x00\\xe0\\xbf'
tbasS'biases'
p15
(lp16
g10
(g11
(I0
tS'b'
tRp17
(I1
(I1
I1
tg14
I00
S'\\x00\\x00\\x00\\x00\\x00\\x00\\xd0?'
tbasS'num_layers'
p18
I2
sb."""


# Of chapter 3, in its words.
PICKLES = {
    "network": PYTHON_2,
    "network2": PYTHON_2.replace(b"cnetwork\n", b"cnetwork2\n").replace(
        b"sS'num_layers'", b"sS'cost'\np20\ncnetwork2\nCrossEntropyCost\np21\nsS'num_layers'"
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@each_face
def test_13_a_pickle_of_the_original_gives_a_working_network(kind):
    loaded = pickle.loads(PICKLES[kind], encoding="latin1")
    assert type(loaded) is FACES[kind].cls
    assert getattr(loaded, "cost", None) in (None, network2.CrossEntropyCost)
    x = np.array([[1.0], [0.5]])
    assert loaded.feedforward(x) == pytest.approx(1 / (1 + np.exp(-1.0)), rel=4 * EPS)
    train(loaded, [(x, np.ones((1, 1)))], 2, eta=1.0)
    assert loaded.feedforward(x) > 1 / (1 + np.exp(-1.0))


# 14-17: deliberate deviations


@each_face
def test_14_sigmoid_never_warns(kind):
    sigmoid = FACES[kind].module.sigmoid
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = np.array([-1e308, -800.0, -1.0, 0.0, 800.0, np.inf, -np.inf])
        assert np.allclose(sigmoid(z), [0, 0, 1 / (1 + np.e), 0.5, 1, 1, 0], rtol=4 * EPS)
        made = net(kind)
        made.weights = [1e300 * w for w in made.weights]
        train(made, epochs=1, judged_by=held_out(), **face_of(kind).figures)


@each_kind
def test_15_a_flat_x_is_refused_with_the_remedy(kind):
    made = net(kind, sizes=[4, 3])
    for call in (
        lambda: made.feedforward(np.ones(4)),
        lambda: made.backprop(np.ones(4), np.ones((3, 1))),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == "x has shape (4,), expected (4, 1): use x.reshape(-1, 1)"


@each_trained
def test_16_wrong_sizes_name_the_layer_and_both_sizes(kind):
    made = net(kind)
    made.weights[1] = np.ones((3, 4))
    with pytest.raises(ValueError) as error:
        train(made)
    assert str(error.value) == (
        "weights[1] has shape (3, 4), expected (3, 5) to match sizes [6, 5, 3]"
    )


@pytest.mark.parametrize("kind", FAST)
def test_17_single_steps_agree_with_numpy(kind):
    made = net(kind, sizes=[784, 30, 10])
    judge = judge_of(made)
    x, y = np.random.RandomState(0).rand(784, 1), np.eye(10)[:, [3]]
    for ours, theirs in zip(sum(made.backprop(x, y), []), sum(judge.backprop(x, y), [])):
        # z is a sum of 785 terms, |z| < 200; sigma' <= 1/4 and a few products follow.
        assert np.abs(ours - theirs).max() <= 785 * EPS * 200


@each_dtype
@each_trained
def test_17_runs_are_the_same_bits_for_any_number_of_threads(kind, dtype, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for form in FORMS:
        alone, shared = (watched(kind, form, dtype, n_threads=n, **rules(kind)) for n in (1, 2))
        assert equal(alone, shared)
        assert timeless(alone.history) == timeless(shared.history)
        assert alone.result == shared.result


TERMS = {"lmbda": 0.5, "l1": 0.25, "mu": 0.5}


@pytest.mark.parametrize("terms", [(), ("lmbda",), ("l1",), ("lmbda", "l1"), ("mu",), TERMS])
@pytest.mark.parametrize("kind", FAST)
def test_17_wide_runs_are_the_same_bits_for_any_number_of_threads(kind, terms, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    sizes, runs = [20, 150, 3], []  # wide enough for three to share
    for n in (1, 2, 3):
        made = net(kind, sizes=sizes)
        rule = {term: TERMS[term] for term in terms}
        train(made, examples(47, sizes=sizes), 2, m=10, n_threads=n, **rule)
        runs.append(made)
    assert equal(runs[1], runs[0]) and equal(runs[2], runs[0])


@each_kind
def test_feedforward_takes_several_inputs_as_columns(kind):
    made = net(kind)
    columns = np.random.RandomState(0).randn(6, 50)
    outputs = made.feedforward(columns)
    assert outputs.shape == (3, 50)
    for k in range(50):
        assert np.array_equal(outputs[:, [k]], made.feedforward(columns[:, [k]]))
