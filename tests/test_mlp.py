"""MLP, and what came with it: any hidden layer, output and rule, and outputs of one neuron.

Laws over the tables of bpnet.reference, which is the judge: a row is tested because it is
there.  What an MLP shares with the book's classes is proven where theirs is, see nets.
"""

import functools
import random

import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import (
    FORMS,
    TRAINED,
    N,
    copies,
    each_dtype,
    equal,
    face_of,
    judge_of,
    passing,
    timeless,
    train,
    visited,
)

import bpnet
from bpnet import MLP, Dataset, Network, Rule, network2, reference

SIZES = [6, 20, 3]  # the middle layer is wide enough for two threads to share
ETA = 1e-3
VALUES = {"mu": 0.7, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 0.1}
CLASSIFY = [o for o in reference.OUTPUTS if MLP(SIZES, output=o)._classifies()]
REGRESS = [o for o in reference.OUTPUTS if o not in CLASSIFY]

each_hidden = pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
each_output = pytest.mark.parametrize("output", reference.OUTPUTS)
each_regression = pytest.mark.parametrize("output", REGRESS)
each_rule = pytest.mark.parametrize("rule", reference.RULES)


def rule_of(name):
    return Rule(name, **{key: VALUES[key] for key in Rule(name).parameters})


def examples(output, dtype="float64", seed=0, n=N, n_out=SIZES[-1]):
    """Return tuples (x, y): unit vectors, or any reals, or counts, as the output is for."""
    draw = np.random.RandomState(seed)
    xs = draw.randn(n, SIZES[0], 1).astype(dtype)
    if output in CLASSIFY:
        ys = np.eye(n_out)[draw.randint(n_out, size=n)]
    else:
        ys = draw.poisson(2, (n, n_out)) if output == "poisson" else 3 * draw.randn(n, n_out)
    return list(zip(xs, ys.astype(dtype)[:, :, None]))


def judge(net):
    """Return the reference's MLP with net's parameters, in long double."""
    with np.errstate(all="ignore"):
        twin = reference.MLP(net.sizes, net.hidden, net.output)
    twin.biases = [b.astype(np.longdouble) for b in net.biases]
    twin.weights = [w.astype(np.longdouble) for w in net.weights]
    return twin


def exact(pairs):
    return [(x.astype(np.longdouble), y.astype(np.longdouble)) for x, y in pairs]


def largest(net, pairs):
    """Return the largest item of the gradient of any one example, and of the parameters."""
    parts = [p for x, y in pairs for part in net.backprop(x, y) for p in part]
    return max(abs(p).max() for p in parts), max(abs(p).max() for p in parameters_of(net))


GRADIENT = 400  # eps (1 + |g|): see the first test


# 1: training is the reference's


@pytest.mark.pairs
@each_hidden
@each_output
@each_rule
@each_dtype
def test_an_epoch_is_the_references_to_rounding(hidden, output, rule, dtype):
    """From one start, in 6 steps so small that errors of one hardly enter the next.

    An error of g: z is a sum of 7, then 21 terms, of which no |w a| sum exceeds 8, thus wrong
    by at most 10 x 8 + 24 x 8 eps; activations and their costs' slopes are at most 1 or a, and
    ulps of their own follow: 400 eps (1 + |g|).  It moves a parameter by eta times that, over
    1 - mu for a velocity, which Nesterov's step exceeds by once more.  Adam's m / (sqrt(v) +
    epsilon) has a slope of at most 4 / epsilon along each g.  Each step then rounds p, and what
    is taken from it, 4 times at most.
    """
    net = MLP(SIZES, hidden=hidden, output=output, dtype=dtype, seed=5)
    pairs, start = examples(output, dtype), copies(net)
    expected, rule = judge(net), rule_of(rule)
    most, size = largest(expected, exact(pairs))
    slots = reference.empty_slots(expected, rule.name)
    order = exact(visited(pairs, 1, 5))
    for t, k in enumerate(range(0, N, 4), start=1):
        terms = {"l2": 0.5 / N, "l1": 0.25 / N, **rule.parameters}
        reference.descend(expected, order[k : k + 4], ETA, rule.name, slots, t, **terms)
    gain = {"plain": 1, "adam": 4 / VALUES["epsilon"]}.get(rule.name, 2 / (1 - VALUES["mu"]))
    error = gain * ETA * GRADIENT * (1 + 2 * most) + 4 * (size + 1)
    bound = 6 * error * np.finfo(dtype).eps
    net.train(pairs, 1, 4, ETA, rule=rule, lmbda=0.5, l1=0.25)
    for found, true, before in zip(
        parameters_of(net), parameters_of(expected), start, strict=True
    ):
        assert found.dtype == dtype
        assert abs(found - true).max() <= bound
        assert abs(true - before).max() > 3 * bound  # or anything would pass
    for form in FORMS:
        again = MLP(SIZES, hidden=hidden, output=output, dtype=dtype, seed=5)
        given = FORMS[form](examples(output, dtype), dtype)
        again.train(given, 1, 4, ETA, rule=rule, lmbda=0.5, l1=0.25)
        assert equal(again, net), form


@each_rule
def test_an_epoch_weighs_examples_as_the_reference_does(rule):
    """The bound is that of the test above."""
    net, rule = MLP(SIZES, seed=5), rule_of(rule)
    pairs, weights = examples("cross-entropy"), np.random.RandomState(3).rand(N) + 0.1
    expected = judge(net)
    most, size = largest(expected, exact(pairs))
    slots = reference.empty_slots(expected, rule.name)
    order = visited(range(N), 1, 5)
    for t, k in enumerate(range(0, N, 4), start=1):
        batch, terms = order[k : k + 4], rule.parameters
        chosen = {"weights": [np.longdouble(weights[i]) for i in batch]}
        given = exact([pairs[i] for i in batch])
        reference.descend(expected, given, ETA, rule.name, slots, t, **chosen, **terms)
    gain = 4 / VALUES["epsilon"]
    error = gain * ETA * GRADIENT * (1 + 2 * most) + 4 * (size + 1)
    net.train(Dataset(pairs, weights=weights), 1, 4, ETA, rule=rule)
    for found, true in zip(parameters_of(net), parameters_of(expected), strict=True):
        assert abs(found - true).max() <= 6 * error * np.finfo(np.float64).eps


@pytest.mark.parametrize("output", CLASSIFY)
def test_labels_are_unit_vectors(output):
    pairs, nets = examples(output), [MLP(SIZES, output=output, seed=1) for _ in range(2)]
    labelled = [(x, int(y.argmax())) for x, y in pairs]
    for net, given in zip(nets, (pairs, labelled)):
        net.train(given, 1, 4, 0.1)
    assert equal(*nets)
    assert nets[0].cost(pairs) == nets[0].cost(labelled)
    assert nets[0].count(pairs) == nets[0].count(labelled)
    assert same_bits(*(sum(nets[0].gradient(given), []) for given in (pairs, labelled)))


def test_a_seed_draws_and_shuffles_and_relu_begins_wider():
    one, two = MLP(SIZES, seed=3), MLP(SIZES, hidden="relu", seed=3)
    for a, b in zip(one.weights, two.weights):
        # sqrt(n / 2) and sqrt(n) are rounded, and so is what is over them.
        assert abs(b - np.sqrt(2) * a).max() <= 4 * np.finfo(np.float64).eps * abs(b).max()
    assert not any(b.any() for b in (*one.biases, *two.biases))
    draw = np.random.RandomState(3)
    expected = [draw.randn(k, n) / np.sqrt(n) for n, k in zip(SIZES, SIZES[1:])]
    assert same_bits(one.weights, expected)
    np.random.seed(3)
    random.seed(3)
    three = MLP(SIZES)
    for net in (one, three):
        net.train(examples("cross-entropy"), 2, 4, 0.1)
    assert equal(one, three)


# 2: what may be asked of it


@each_hidden
@each_output
def test_gradient_is_the_slope_of_cost(hidden, output):
    net, h = MLP([6, 5, 3], hidden=hidden, output=output, seed=2), 1e-6
    for b in net.biases:
        b += 0.1
    weights = np.random.RandomState(3).rand(N)
    for data in (examples(output), Dataset(examples(output), weights=weights)):
        for p, slope in zip(parameters_of(net), sum(net.gradient(data), []), strict=True):
            assert slope.shape == p.shape
            for i in np.ndindex(p.shape):
                kept = p[i]
                p[i] = kept + h
                above = net.cost(data)
                p[i] = kept - h
                below = net.cost(data)
                p[i] = kept
                # Truncation h^2 and rounding eps / h of costs of size 1 to 20.
                assert abs((above - below) / (2 * h) - slope[i]) < 1e-8 * (1 + above)


@each_dtype
@each_hidden
@each_output
def test_predict_cost_and_count_are_the_references(hidden, output, dtype):
    """z is within 400 eps as in the first test; a and the cost have slopes of 1 + a + y."""
    net = MLP(SIZES, hidden=hidden, output=output, dtype=dtype, seed=2)
    pairs, twin = examples(output, dtype), judge(net)
    found, truth = net.predict(pairs), [twin.feedforward(x) for x, _ in exact(pairs)]
    assert (found.shape, found.dtype) == ((N, 3), np.dtype(dtype))
    eps, costs = np.finfo(dtype).eps, []
    for a, (_, y), true in zip(found, exact(pairs), truth):
        costs.append(twin.cost.fn(true, y))
        assert (abs(a[:, None] - true) <= 400 * eps * (1 + abs(true))).all()
    most = max(abs(true).max() + abs(y).max() for true, (_, y) in zip(truth, pairs))
    weights = np.random.RandomState(3).rand(N).astype(dtype)
    for data, w in (
        (pairs, np.ones(N)),
        (Dataset(pairs, dtype=dtype, weights=weights), weights),
    ):
        mean = float(np.average(costs, weights=w.astype(np.float64)))
        assert abs(net.cost(data) - mean) <= 3 * 400 * eps * (1 + most) * (1 + mean)
        if output in CLASSIFY:
            right = sum(a.argmax() == y.argmax() for a, (_, y) in zip(found, pairs))
            assert net.count(data) == right  # each is one, whatever its weight
            assert type(net.count(data)) is int
    assert type(net.cost(pairs)) is float
    rows = np.concatenate([x.T for x, _ in pairs])
    forms = [make(pairs, dtype) for make in FORMS.values()]
    for given in (*forms, rows, list(rows), rows.tolist(), rows.astype(np.float64)[::1]):
        assert same_bits(net.predict(given), found)
    assert net.predict([]).shape == net.predict(rows[:0]).shape == (0, 3)


BAD_ROWS = [
    (np.ones(6), "ValueError: examples has shape (6,), expected (n, 6)"),
    (np.ones((2, 5)), "ValueError: examples has shape (2, 5), expected (n, 6)"),
    (np.ones((2, 6, 1)), "ValueError: examples has shape (2, 6, 1), expected (n, 6)"),
    ([[1.0] * 5], "ValueError: examples has shape (1, 5), expected (n, 6)"),
    ([[1.0] * 6, [1.0]], "TypeError: examples must be an array of real numbers, got list"),
    (np.full((2, 6), np.inf), "ValueError: examples must be finite in float64, got inf"),
    (np.full((2, 6), "a"), "TypeError: examples must be an array of real numbers, got dtype"),
    (7, "TypeError: examples must be a list of (x, y) or a pair of arrays (X, Y), got int"),
    ([(np.ones((5, 1)), 0)], "ValueError: examples[0]: x has shape (5, 1), expected (6, 1)"),
    (["abcdef"], "TypeError: examples[0] must be a pair (x, y), got str"),
]


@pytest.mark.parametrize(("rows", "sentence"), BAD_ROWS)
def test_rows_that_predict_cannot_take(rows, sentence, nothing_changes):
    net = MLP(SIZES, seed=1)
    with nothing_changes(net, rows):
        with pytest.raises(Exception) as raised:
            net.predict(rows)
        assert f"{type(raised.value).__name__}: {raised.value}".startswith(sentence)


# 3: one output is a 1 where it is above 1/2


INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR, FIRST = [0, 1, 1, 0], [0, 0, 1, 1]  # the second is learnt at once


def columns(labels):
    return [(x[:, None], np.array([[float(label)]])) for x, label in zip(INPUTS, labels)]


def labelled(labels):
    return [(x[:, None], label) for x, label in zip(INPUTS, labels)]


def with_feedforward(cls):
    return passing(cls, "feedforward")


class Above(Network):
    """A script that counts as it should be for one output."""

    def evaluate(self, test_data):
        return sum(int((self.feedforward(x)[0, 0] > 0.5) == label) for x, label in test_data)


class Above2(network2.Network):
    def accuracy(self, data, convert=False):
        found = [self.feedforward(x)[0, 0] > 0.5 for x, _ in data]
        return sum(int(a == (y[0, 0] if convert else y)) for a, (_, y) in zip(found, data))


OWN_COUNT = {"network, evaluate": Above, "network2, accuracy": Above2}
ONE = TRAINED | OWN_COUNT
ONE |= {
    "network, feedforward": with_feedforward(Network),
    "network2, feedforward": with_feedforward(network2.Network),
}
each_one = pytest.mark.parametrize("kind", ONE)


def right(net, labels=XOR):
    """Return how many are right, an output above 1/2 being a 1."""
    a = net.predict(INPUTS) if isinstance(net, MLP) else net.feedforward(INPUTS.T).T
    return int(np.count_nonzero((a[:, 0] > 0.5) == np.array(labels, bool)))


def learning(kind, labels=XOR, epochs=150, **options):
    """Train; return the network, how many were right after each epoch, and its parameters."""
    net, counts, after = ONE[kind]([2, 16, 1], seed=3), [], []

    def look(net, epoch):
        counts.append(right(net, labels))
        after.append(copies(net))

    given = {"judged_by": labelled(labels), "callback": look, "eta": 1.0, "m": 1}
    train(net, columns(labels), epochs, **face_of(net).figures, **given, **options)
    return net, counts, after


learnt = functools.cache(learning)  # for those who only look


@each_one
def test_history_counts_one_output_above_a_half_as_a_one(kind):
    net, counts, _ = learnt(kind)
    for key in (f"{face_of(net).held_out[:-5]}_accuracy", "training_accuracy"):
        assert [record[key] for record in net.history] == [n / 4 for n in counts]
    assert counts[-1] == 4 and len(set(counts)) > 1  # which the argmax cannot show
    if isinstance(net, MLP):
        assert net.count(columns(XOR)) == net.count(labelled(XOR)) == 4


@each_one
def test_max_error_and_patience_see_one_output_learn(kind):
    _, counts, after = learnt(kind)
    best = counts.index(4)
    net, seen, _ = learning(kind, max_error=0.25)
    assert net.stopped_by == "max_error"
    assert seen == counts[: best + 1]
    net, _, _ = learning(kind, patience=150)
    assert same_bits(parameters_of(net), after[best])
    net, seen, after = learning(kind, FIRST, patience=5)
    assert net.stopped_by == "patience" and len(seen) == seen.index(4) + 6
    assert same_bits(parameters_of(net), after[seen.index(4)])


@pytest.mark.parametrize("kind", sorted({*ONE} - {"MLP", *OWN_COUNT}))
def test_the_books_own_count_stays_the_argmax_which_is_0(kind):
    """evaluate and accuracy answer as the original's, whose argmax of one number is 0."""
    net, counts, _ = learnt(kind)
    assert counts[-1] == 4
    own = getattr(net, face_of(net).counter)
    assert (own(labelled(XOR)), own(labelled([0] * 4)), own(labelled([1] * 4))) == (2, 4, 0)


@pytest.mark.parametrize("face", ["network", "network2"])
@pytest.mark.parametrize("step", ["backprop", "feedforward"])
def test_by_hand_one_output_is_counted_as_in_the_core(face, step):
    core, counts, _ = learnt(face)
    hand, others, _ = learning(f"{face}, {step}")
    assert counts == others
    for one, two in zip(core.history, hand.history):
        assert one.keys() == two.keys()
        assert all(one[key] == two[key] for key in one if key.endswith("accuracy"))


# 4: regression: outputs that do not classify need no labels


def regression(output, form="list", epochs=4, eta=1e-3, dtype="float64", seed=0, **options):
    net = MLP(SIZES, hidden="tanh", output=output, dtype=dtype, seed=5)
    data = FORMS[form](examples(output, dtype), dtype)
    given = FORMS[form](examples(output, dtype, seed), dtype)
    net.train(data, epochs, 4, eta, validation_data=given, **options)
    return net


@pytest.mark.parametrize("form", FORMS)
@each_dtype
@each_regression
def test_regression_records_the_cost_of_what_is_held_out(output, dtype, form):
    said, given = [], examples(output, dtype, seed=1)
    net = regression(
        output,
        form,
        dtype=dtype,
        seed=1,
        monitor="training_cost",
        callback=lambda net, _: said.append(net.cost(given)),
    )
    assert [record["validation_cost"] for record in net.history] == said
    keys = {"epoch", "eta", "seconds", "update"}
    keys |= {
        f"{data}_{of}" for data in ("training", "validation") for of in ("cost", "penalty")
    }
    assert all(record.keys() == keys for record in net.history)
    assert net.stopped_by == "epochs"


@each_regression
def test_regression_learns_any_numbers(output):
    net = regression(output, epochs=300, eta=0.01, monitor=["training_cost"])
    costs = [record["training_cost"] for record in net.history]
    assert costs[-1] < costs[0] / 2


def wavering(epoch):
    """An eta that goes uphill after three epochs."""
    return 1e-3 if epoch < 3 else -1e-3


@each_regression
def test_patience_brings_back_the_epoch_of_least_cost(output):
    seen = []
    net = regression(
        output,
        epochs=6,
        eta=wavering,
        patience=6,
        callback=lambda net, _: seen.append(copies(net)),
    )
    costs = [record["validation_cost"] for record in net.history]
    best = int(np.argmin(costs))
    assert best == 2 and same_bits(parameters_of(net), seen[best])
    ended = regression(output, epochs=6, eta=wavering, patience=1, min_delta=costs[0])
    assert (ended.stopped_by, len(ended.history)) == ("patience", 2)
    assert same_bits(parameters_of(ended), seen[0])  # no later one is so much better


@each_regression
def test_max_error_is_a_cost(output):
    costs = [record["validation_cost"] for record in regression(output).history]
    assert costs == sorted(costs, reverse=True)
    net = regression(output, max_error=(costs[0] + costs[1]) / 2)
    assert (net.stopped_by, len(net.history)) == ("max_error", 2)
    assert regression(output, epochs=2, max_error=costs[1]).stopped_by == "epochs"


@pytest.mark.parametrize("verbose", [True, "bar"])
@each_regression
def test_a_line_of_regression_shows_the_cost(output, verbose, capsys):
    net = regression(output, epochs=2, verbose=verbose)
    lines = [
        f"Epoch {epoch} complete, validation cost {record['validation_cost']:.4g}"
        for epoch, record in enumerate(net.history)
    ]
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize("verbose", [True, "bar"])
def test_a_line_of_classes_shows_their_count(verbose, capsys):
    net, given = MLP(SIZES, seed=1), examples("cross-entropy", seed=1)
    net.train(given, 1, 4, 0.1, validation_data=given, verbose=verbose)
    assert capsys.readouterr().out == f"Epoch 0: {net.count(given)} / {N}\n"


@each_regression
def test_no_accuracy_of_regression(output, nothing_changes):
    net, data = MLP(SIZES, output=output, seed=1), examples(output)
    possible = "monitor must list some of training_cost, validation_cost, got"
    with nothing_changes(net, data):
        for key in ("training_accuracy", "validation_accuracy"):
            with pytest.raises(ValueError, match=f"^{possible} '{key}'$"):
                net.train(data, 1, 4, 0.1, validation_data=data, monitor=[key])
        with pytest.raises(
            ValueError, match=f"^count needs outputs that classify, got {output}$"
        ):
            net.count(data)


# 5: checkpoints and threads, of every rule


STEPPED = {
    "MLP": lambda dtype: MLP(SIZES, dtype=dtype, seed=5),
    "MLP, relu": lambda dtype: MLP(SIZES, hidden="relu", output="squared", dtype=dtype, seed=5),
    "network": lambda dtype: Network(SIZES, hidden="tanh", dtype=dtype, seed=5),
    "network2": lambda dtype: network2.Network(
        SIZES, network2.LogLikelihoodCost, dtype=dtype, seed=5
    ),
    "network, backprop": lambda dtype: passing(Network, "backprop")(SIZES, dtype=dtype, seed=5),
    "network2, backprop": lambda dtype: passing(network2.Network, "backprop")(
        SIZES, network2.LogLikelihoodCost, hidden="relu", dtype=dtype, seed=5
    ),
    "network, feedforward": lambda dtype: with_feedforward(Network)(SIZES, dtype=dtype, seed=5),
}


@pytest.mark.filterwarnings("ignore:the network was saved with the script's feedforward")
@pytest.mark.parametrize("kind", STEPPED)
@each_rule
@each_dtype
def test_a_run_of_any_rule_goes_on_to_the_same_bits(kind, rule, dtype, tmp_path):
    """Adam's t and what a rule keeps are in the file: the steps after it depend on them."""
    path, options = tmp_path / "run", {"rule": rule_of(rule), "eta": 0.01, "lmbda": 0.5}
    whole, runs = STEPPED[kind](dtype), []
    held_out = examples("cross-entropy", dtype, seed=1)
    options |= {"judged_by": held_out, "patience": 4}
    train(whole, examples("cross-entropy", dtype), 4, **options)
    for n_threads in (1, 2):
        first, again = STEPPED[kind](dtype), STEPPED[kind](dtype)
        given = {**options, "n_threads": n_threads}
        train(first, examples("cross-entropy", dtype), 2, checkpoint=path, **given)
        train(again, examples("cross-entropy", dtype), 4, resume=path, checkpoint=path, **given)
        assert equal(again, whole)
        assert timeless(again.history) == timeless(whole.history)
        runs.append(bpnet.load(path))
    assert equal(runs[0], whole) and equal(runs[1], whole)
    other = STEPPED[kind](dtype)
    train(other, examples("cross-entropy", dtype), 4, **options | {"rule": "plain"})
    assert equal(other, whole) == (rule == "plain")


@each_rule
def test_a_checkpoint_of_another_kind_is_refused(rule, tmp_path, nothing_changes):
    path, data = tmp_path / "run", examples("cross-entropy")
    MLP(SIZES, seed=1).train(data, 1, 4, 0.1, rule=rule, checkpoint=path)
    others = [r for r in reference.RULES if r != rule]
    wrong = [
        *(({}, other, f"rule {other}, got {rule}") for other in others),
        ({"hidden": "tanh"}, rule, "hidden tanh, got sigmoid"),
        ({"output": "squared"}, rule, "output squared, got cross-entropy"),
        ({"dtype": "float32"}, rule, "dtype float32, got float64"),
    ]
    for options, given, what in wrong:
        net, data = MLP(SIZES, seed=1, **options), examples("cross-entropy")
        with nothing_changes(net, data):
            with pytest.raises(ValueError) as raised:
                net.train(data, 2, 4, 0.1, rule=given, resume=path)
            sentence = f"resume must name a checkpoint of a run with {what}: {path}"
            assert str(raised.value) == sentence


@pytest.mark.parametrize("cls", [Network, network2.Network])
@each_rule
def test_by_hand_a_rule_and_weights_of_examples_are_the_cores(cls, rule):
    """Of the first test's bound: both are so far from the reference at most.

    Costs follow by a slope of at most the largest gradient along each parameter.
    """
    core, hand = cls(SIZES, seed=5), passing(cls, "backprop")(SIZES, seed=5)
    pairs, weights = examples("cross-entropy"), np.random.RandomState(3).rand(N)
    most, size = largest(judge_of(core), pairs)
    for net in (core, hand):
        given = {"rule": rule_of(rule), "lmbda": 0.5, "eta": ETA, **face_of(net).figures}
        train(net, Dataset(pairs, weights=weights), 1, judged_by=pairs, **given)
    error = 4 / VALUES["epsilon"] * ETA * GRADIENT * (1 + 2 * most) + 4 * (size + 1)
    bound = 12 * error * np.finfo(np.float64).eps
    for one, two in zip(parameters_of(core), parameters_of(hand), strict=True):
        assert abs(one - two).max() <= bound
    (one,), (two,) = core.history, hand.history
    assert one.keys() == two.keys()
    slope = 2 * most * sum(p.size for p in parameters_of(core))
    for key in one.keys() - {"seconds"}:
        assert abs(one[key] - two[key]) <= bound * (1 + slope), key


# 6: files


@each_dtype
@each_hidden
@each_output
def test_a_file_gives_the_network_back(hidden, output, dtype, tmp_path):
    net = MLP(SIZES, hidden=hidden, output=output, dtype=dtype, seed=3)
    net.notes = {"why": "a test"}
    net.train(examples(output, dtype), 1, 4, 0.01)
    net.save(tmp_path / "net")
    found = bpnet.load(tmp_path / "net")
    assert type(found) is MLP
    kept = ("sizes", "hidden", "output", "dtype", "notes")
    assert all(getattr(found, name) == getattr(net, name) for name in kept)
    assert equal(found, net)
    given = examples(output, dtype)
    assert same_bits(found.predict(given), net.predict(given))
    assert found.cost(given) == net.cost(given)
    random.seed(1)
    found.train(given, 1, 4, 0.01)
    assert not equal(found, net)


@each_dtype
@each_hidden
@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_file_of_a_softmax_network_gives_it_back(suffix, hidden, dtype, tmp_path):
    net = network2.Network(
        SIZES, network2.LogLikelihoodCost, hidden=hidden, dtype=dtype, seed=3
    )
    path = tmp_path / f"net{suffix}"
    net.save(path)
    for found in (bpnet.load(path), network2.load(path)):
        assert type(found) is network2.Network
        assert found.cost is network2.LogLikelihoodCost
        assert (found.hidden, found.dtype) == (hidden, net.dtype)
        x = examples("log-likelihood", dtype)[0][0]
        assert equal(found, net) and same_bits(found.feedforward(x), net.feedforward(x))


# 7: refusals; those of train are rows of test_bad_input


OF_HIDDEN = f"hidden must be one of {', '.join(reference.ACTIVATIONS)}, got"
OF_OUTPUT = f"output must be one of {', '.join(reference.OUTPUTS)}, got"
OF_RULE = f"rule must be one of {', '.join(reference.RULES)}, got"
PAIRED = np.array(["tanh", "relu"])
REFUSED = [
    *(
        (
            lambda cls=cls, name=name: cls(SIZES, hidden=name),
            f"ValueError: {OF_HIDDEN} {name!r}",
        )
        for cls in (MLP, Network, network2.Network)
        for name in ("softmax", "", None, 5, ["tanh"], PAIRED)
    ),
    *(
        (lambda name=name: MLP(SIZES, output=name), f"ValueError: {OF_OUTPUT} {name!r}")
        for name in ("softmax", None, network2.QuadraticCost)
    ),
    *(
        (
            make,
            "ValueError: output log-likelihood needs 2 neurons or more, got sizes [6, 1]: of "
            "one, use cross-entropy",
        )
        for make in (
            lambda: MLP([6, 1], output="log-likelihood"),
            lambda: network2.Network([6, 1], network2.LogLikelihoodCost),
            lambda: network2.Network([6, 1], network2.LogLikelihoodCost(), seed=1),
        )
    ),
    *(
        (lambda name=name: Rule(name), f"ValueError: {OF_RULE} {name!r}")
        for name in ("Adam", 5, None, ["plain"], {})
    ),
    (lambda: Rule("plain", mu=0.5), "TypeError: the rule plain has no parameters, got mu"),
    (lambda: Rule("nesterov", beta_1=0.5), "TypeError: the rule nesterov has mu, got beta_1"),
    (
        lambda: Rule("adam", mu=0.5),
        "TypeError: the rule adam has beta_1, beta_2, epsilon, got mu",
    ),
    *(
        (
            lambda n=name: Rule("adam", **{n: 1}),
            f"ValueError: {name} must be less than 1, got 1.0",
        )
        for name in ("beta_1", "beta_2")
    ),
    (lambda: Rule("momentum", mu=1), "ValueError: mu must be less than 1, got 1.0"),
    (lambda: Rule("momentum", mu=-1), "ValueError: mu must be at least 0, got -1"),
    (lambda: Rule("momentum", mu="1"), "TypeError: mu must be a number, got '1'"),
    (lambda: Rule("adam", epsilon=0), "ValueError: epsilon must be at least 1e-37, got 0"),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSED, ids=[row[1][:60] for row in REFUSED])
def test_names_and_parameters_that_there_are_not(call, sentence, nothing_changes):
    with nothing_changes():
        with pytest.raises((TypeError, ValueError)) as raised:
            call()
        assert f"{type(raised.value).__name__}: {raised.value}" == sentence


@each_rule
def test_a_rule_shows_how_it_is_made_and_is_what_it_shows(rule):
    one = rule_of(rule)
    assert eval(repr(one)) == one
    assert one == rule_of(rule) and one.slots == reference.RULES[rule][1]
    assert (one == Rule(rule)) == (rule == "plain")


def test_mu_is_momentum_and_what_nesterov_may_have():
    for rule, mu, same in (
        ("plain", 0.5, Rule("momentum", mu=0.5)),
        ("momentum", 0.5, Rule("momentum", mu=0.5)),
        ("nesterov", 0.5, Rule("nesterov", mu=0.5)),
        ("momentum", 0.0, Rule("momentum", mu=0.9)),
        ("adam", 0.0, Rule("adam", beta_1=0.9, beta_2=0.999, epsilon=1e-8)),
    ):
        nets = [Network(SIZES, seed=1) for _ in range(2)]
        train(nets[0], rule=rule, mu=mu, eta=0.1)
        train(nets[1], rule=same, eta=0.1)
        assert equal(*nets)


# 8: chapter 3's softmax


def softmaxes(hidden, dtype="float64", cls=network2.Network):
    """Return such a network, and the book's in long double."""
    net = cls(SIZES, network2.LogLikelihoodCost, hidden=hidden, dtype=dtype, seed=5)
    f, f_prime = reference.ACTIVATIONS[hidden]
    steps = {"_hidden": f, "_hidden_prime": f_prime, "_output": reference.softmax}
    twin = judge_of(net, **{name: staticmethod(step) for name, step in steps.items()})
    twin.biases, twin.weights = (
        [p.astype(np.longdouble) for p in part] for part in (twin.biases, twin.weights)
    )
    return net, twin


@each_dtype
@each_hidden
@pytest.mark.parametrize("cls", [network2.Network, passing(network2.Network, "backprop")])
def test_softmax_of_chapter_3_is_the_references(cls, hidden, dtype):
    """Within the bound of the first test; weights begin as large, biases of N(0, 1)."""
    net, twin = softmaxes(hidden, dtype, cls)
    pairs, eps = examples("log-likelihood", dtype), np.finfo(dtype).eps
    for (x, y), (exact_x, exact_y) in zip(pairs, exact(pairs)):
        truth = sum(twin.backprop(exact_x, exact_y), [])
        most = max(abs(t).max() for t in truth)
        for found, true in zip(sum(net.backprop(x, y), []), truth, strict=True):
            assert abs(found - true).max() <= GRADIENT * eps * (1 + most)
    most, size = largest(twin, exact(pairs))
    error = ETA * GRADIENT * (1 + 2 * most) + 4 * (size + 1)
    labelled = [(x, int(y.argmax())) for x, y in examples("log-likelihood", dtype, seed=1)]
    given = exact(visited(pairs, 1, 5))
    for k in range(0, N, 4):
        twin.update_mini_batch(given[k : k + 4], ETA, np.longdouble(0.5), N)
    figures = net.SGD(pairs, 1, 4, ETA, 0.5, labelled, True, True, True, True, verbose=False)
    for found, true in zip(parameters_of(net), parameters_of(twin), strict=True):
        assert abs(found - true).max() <= 6 * error * eps
    held = [(x.astype(np.longdouble), label) for x, label in labelled]
    truth = [
        twin.total_cost(held, 0.5, convert=True),
        twin.accuracy(held),
        twin.total_cost(exact(pairs), 0.5),
        twin.accuracy(exact(pairs), convert=True),
    ]
    assert [list(map(type, figure)) for figure in figures] == [[float], [int], [float], [int]]
    for (found,), true in zip(figures, truth, strict=True):
        if isinstance(found, int):
            assert found == true
        else:
            assert abs(found - true) <= 2 * GRADIENT * eps * (1 + true)


@each_hidden
def test_an_assigned_sigmoid_leaves_the_softmax(hidden, monkeypatch):
    """The book's text is then called; the bound is that of the tests above."""
    net, twin = softmaxes(hidden)
    monkeypatch.setattr(network2, "sigmoid", lambda z: reference.sigmoid(z))
    eps = np.finfo(np.float64).eps
    pairs = examples("log-likelihood")
    for (x, y), (exact_x, exact_y) in zip(pairs, exact(pairs)):
        assert abs(net.feedforward(x) - twin.feedforward(exact_x)).max() <= GRADIENT * eps
        truth = sum(twin.backprop(exact_x, exact_y), [])
        most = max(abs(t).max() for t in truth)
        for found, true in zip(sum(net.backprop(x, y), []), truth, strict=True):
            assert abs(found - true).max() <= GRADIENT * eps * (1 + most)
