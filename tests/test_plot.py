"""Pictures: what is drawn is what there is, read back from the figure, and errors are clear."""

import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import labelled, twin
from nets import Frame, OwnCost, Sparse

import bpnet
from bpnet import plot

draws = pytest.mark.usefixtures("matplotlib")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def matplotlib():
    pytest.importorskip("matplotlib")


def history(n, **series):
    """Return n epochs in which each of series is a function of the epoch."""
    always = {"eta": 3.0, "seconds": 0.1, "update": 0.5}
    return [{"epoch": i, **always, **{k: f(i) for k, f in series.items()}} for i in range(n)]


def rising(i):
    return 0.95 - 0.5 / (i + 1)


def lines(axes):
    """Return {name: (x, y)} of the curves that have a name."""
    named = [line for line in axes.lines if not line.get_label().startswith("_")]
    return {line.get_label(): line.get_xydata().T.tolist() for line in named}


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def title(figure):
    return figure._suptitle.get_text()


def box(artist):
    """Return where an artist is drawn; of a text without the line that leads to it."""
    from matplotlib.text import Text

    owner = Text if isinstance(artist, Text) else type(artist)
    return owner.get_window_extent(artist)


def apart(artists):
    """Whether no two of the artists overlap, once drawn."""
    return not any(a.overlaps(b) for a, b in itertools.combinations(map(box, artists), 2))


def inside(figure):
    """Whether all of a figure that was drawn is whole."""
    found, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return found.x0 >= 0 and found.y0 >= 0 and found.x1 <= width and found.y1 <= height


NET = bpnet.Network([9, 6, 4], seed=3)
EXAMPLES = labelled(50, 9, 4)
X = np.array([x[:, 0] for x, _ in EXAMPLES])
LABELS = np.array([label for _, label in EXAMPLES])
Y = np.eye(4)[LABELS]
OUTPUTS = np.array([twin(NET).feedforward(x)[:, 0] for x in X[:, :, None]])
READ = OUTPUTS.argmax(axis=1)


# learning_curve

COST = "cost"
WITHOUT = "cost, without regularisation"
WITH = "cost, any regularisation included"


@draws
def test_the_curves_are_the_history():
    figure = plot.learning_curve(
        history(5, training_accuracy=lambda i: i / 8, test_accuracy=rising, test_cost=float)
    )
    accuracy, cost = figure.axes
    epochs = [0, 1, 2, 3, 4]
    assert lines(accuracy) == {
        "training": [epochs, [0, 12.5, 25, 37.5, 50]],
        "test": [epochs, [100 * rising(i) for i in epochs]],
    }
    assert lines(cost) == {"test": [epochs, epochs]}
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy (%)")
    assert (cost.get_xlabel(), cost.get_ylabel()) == ("epoch", WITH)
    assert title(figure) == f"{100 * rising(4):.2f} % of the test data after 5 epochs"


@draws
def test_what_is_none_or_not_finite_is_left_out():
    values = [None, 1.0, math.inf, 2.0, math.nan, 1e200, np.float32(3)]
    (axes,) = plot.learning_curve(history(7, test_cost=lambda i: values[i])).axes
    assert lines(axes) == {"test": [[1, 3, 6], [1, 2, 3]]}


@draws
def test_only_what_history_has_gets_a_panel():
    never = {"training_accuracy": lambda i: None, "training_cost": lambda i: math.inf}
    for series, labels in (
        ({"validation_accuracy": rising}, ["accuracy (%)"]),
        ({"evaluation_cost": rising}, [WITH]),
        ({}, ["relative change of the weights"]),
    ):
        figure = plot.learning_curve(history(3, **series, **never))
        assert [axes.get_ylabel() for axes in figure.axes] == labels


@draws
def test_the_update_alone_is_drawn_on_a_logarithmic_axis():
    rows = [{**row, "update": 10.0**-i} for i, row in enumerate(history(4))]
    (axes,) = plot.learning_curve(rows).axes
    (line,) = axes.lines
    assert line.get_xydata().T.tolist() == [[0, 1, 2, 3], [1, 0.1, 0.01, 0.001]]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.001 < 1 < axes.get_ylim()[1]


@draws
@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["training", "test"], "best test: 90.00 %, epoch 2"),  # the first of two
        (["test", "validation"], "best validation: 90.00 %, epoch 2"),
        (["evaluation", "test"], "best evaluation: 90.00 %, epoch 2"),
        (["training"], None),
    ],
)
def test_the_best_accuracy_on_held_out_data_is_ringed_and_named(names, best):
    values = [0.5, 0.8, 0.9, 0.9, 0.7]
    series = {f"{name}_accuracy": lambda i: values[i] for name in names}
    (axes,) = plot.learning_curve(history(5, **series)).axes
    rings = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 1]
    assert rings == ([[[2, 90]]] if best else [])
    assert axes.get_title("left") == (best or "")


@draws
def test_training_and_held_out_curves_differ_without_colour():
    (axes,) = plot.learning_curve(history(3, training_cost=rising, test_cost=rising)).axes
    training, test = axes.lines
    assert training.is_dashed() and not test.is_dashed()
    assert training.get_linewidth() < test.get_linewidth()
    styles = [str(style.get("linestyle")) for name, style in plot._STYLES.items() if name]
    assert len(set(styles)) == 4


@draws
def test_a_bad_start_does_not_squash_the_rest():
    late = [0.9 + 0.05 * i / 40 for i in range(40)]
    (axes,) = plot.learning_curve(
        history(40, test_accuracy=lambda i: 0.1 if i < 8 else late[i])
    ).axes
    low, high = axes.get_ylim()
    assert low < 100 * late[10] < 100 * late[-1] < high
    assert 100 * (late[-1] - late[10]) > 0.4 * (high - low)

    (axes,) = plot.learning_curve(
        history(40, test_cost=lambda i: 1e30 if i < 8 else 1 - late[i])
    ).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[1] < 0.2


@draws
def test_a_start_that_is_not_far_off_is_seen():
    values = [0.2, 0.3, *np.linspace(0.4, 0.6, 10)]
    figure = plot.learning_curve(
        history(12, test_accuracy=lambda i: values[i], test_cost=lambda i: 1 - values[i])
    )
    assert figure.axes[0].get_ylim()[0] < 20
    assert figure.axes[1].get_ylim()[1] > 0.8


@draws
@pytest.mark.parametrize("n", [2, 3, 4, 40, 400])
def test_all_but_a_bad_start_is_inside_the_limits(n):
    for series in (rising, lambda i: 0.1 if i == n - 1 else 0.9, lambda i: 0.5):
        for axes in plot.learning_curve(
            history(n, test_accuracy=series, test_cost=series)
        ).axes:
            _, y = lines(axes)["test"]
            (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
            assert left < 0 <= n - 1 < right
            assert all(low < value < high for value in y[n // 4 :])


@draws
def test_names_stand_apart_in_the_order_of_the_curves():
    ends = {"training": 0.971, "validation": 0.952, "evaluation": 0.9521, "test": 0.953}
    series = {f"{name}_accuracy": lambda i, e=end: e * rising(i) for name, end in ends.items()}
    figure = plot.learning_curve(history(30, **series))
    figure.draw_without_rendering()
    named = [text for text in figure.axes[0].texts if text.get_text() in ends]
    assert [text.get_text() for text in named] == sorted(ends, key=lambda name: ends[name])
    assert apart([*named, figure._suptitle, figure.axes[0]._left_title])
    assert apart([*named, figure.axes[0].patch])
    assert inside(figure)


@draws
def test_a_name_stands_where_its_curve_ends():
    """Beside the last point, whether or not other curves go on."""
    values = {"training": [1, 0.5, None, None, None], "test": [1, 0.9, 0.8, 0.7, 0.6]}
    figure = plot.learning_curve(
        history(5, **{f"{data}_cost": ys.__getitem__ for data, ys in values.items()})
    )
    figure.draw_without_rendering()
    (axes,) = figure.axes
    for text in axes.texts:
        x, y = lines(axes)[text.get_text()]
        end = axes.transData.transform((x[-1], y[-1]))
        beside = box(text)
        assert 0 < beside.x0 - end[0] < 0.08 * axes.bbox.width
        assert beside.y0 < end[1] < beside.y1


@pytest.mark.parametrize(
    ("ends", "places"),
    [
        ([0.5], [0.5]),
        ([0.2, 0.6], [0.2, 0.6]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.52, 0.9], [0.46, 0.56, 0.9]),
        ([0.0, 0.0, 0.0], [0.0, 0.1, 0.2]),
        ([0.97, 1.0, 1.2], [0.8, 0.9, 1.0]),
        ([0.5, 0.5, 0.61], [0.437, 0.537, 0.637]),
    ],
)
def test_names_are_as_near_to_their_ends_as_can_be(ends, places):
    assert plot._spread(ends, 0.1) == pytest.approx(places, abs=1e-3)


def regularised(n, lmbda=8.0, **options):
    """Return network2 after n epochs on more examples than it is evaluated on."""
    net = bpnet.network2.Network([9, 5, 4], seed=1)
    monitors = {f"monitor_{data}_cost": True for data in ("training", "evaluation")}
    net.SGD(
        (X[:40], Y[:40]), n, 10, 0.5, lmbda, (X[40:], LABELS[40:]), **monitors, **options,
        verbose=False,
    )  # fmt: skip
    return net


@draws
@pytest.mark.parametrize("l1", [0.0, 2.0])
def test_costs_are_drawn_without_regularisation(l1):
    net = regularised(3, l1=l1)
    (axes,) = plot.learning_curve(net.history).axes
    assert axes.get_ylabel() == WITHOUT
    for data, given in [("training", (X[:40], Y[:40])), ("evaluation", (X[40:], Y[40:]))]:
        drawn, plain = lines(axes)[data][1][-1], net.total_cost(given, 0.0)
        cost = net.history[-1][f"{data}_cost"]
        assert cost > plain + 0.1
        assert drawn == pytest.approx(plain, abs=1e-14 * cost)


@draws
def test_costs_without_regularisation_are_drawn_as_they_are():
    net = regularised(3, lmbda=0.0)
    (axes,) = plot.learning_curve(net.history).axes
    assert axes.get_ylabel() == COST
    for data, (_, drawn) in lines(axes).items():
        assert drawn == [record[f"{data}_cost"] for record in net.history]


@draws
@pytest.mark.parametrize("gone", [range(1), range(3), [2]])
def test_where_a_penalty_is_not_known_the_axis_says_so(gone):
    """Of a run that an older version began, or of a total_cost of one's own."""
    records = regularised(3).history
    for i in gone:
        del records[i]["evaluation_penalty"]
    (axes,) = plot.learning_curve(records).axes
    assert axes.get_ylabel() == WITH
    for data, (_, drawn) in lines(axes).items():
        assert drawn == [record[f"{data}_cost"] for record in records]


@draws
def test_a_single_epoch_is_text():
    records = history(
        1, training_accuracy=lambda i: 0.5, test_accuracy=lambda i: 0.25, test_cost=rising
    )
    figure = plot.learning_curve(records)
    figure.draw_without_rendering()
    assert title(figure) == "25.00 % of the test data after 1 epoch"
    (axes,) = figure.axes
    (text,) = texts(axes)
    assert not axes.lines and not axes.axison
    assert text.split("\n") == [
        "accuracy (%): training 50, test 25",
        f"{WITH}: test 0.45",
        "A curve takes two epochs.",
    ]
    assert apart([*axes.texts, figure._suptitle]) and inside(figure)
    assert title(plot.learning_curve(history(1))) == "After 1 epoch"


@draws
@pytest.mark.parametrize(
    ("net", "name"),
    [
        (bpnet.Network([784, 30, 10]), "784-30-10, quadratic"),
        (bpnet.Network([784, 10], hidden="tanh"), "784-10, quadratic"),
        (bpnet.MLP([4, 3, 2], hidden="relu", output="squared"), "4-3-2, relu, squared"),
        (bpnet.network2.Network([4, 3, 2]), "4-3-2, cross-entropy"),
        (bpnet.network2.Network([4, 3, 2], OwnCost), "4-3-2, OwnCost"),
        (bpnet.network2.Network([4, 3, 2], OwnCost()), "4-3-2, OwnCost"),
        (bpnet.Network([7] * 40), "-".join(["7"] * 40) + ", quadratic"),
    ],
)
@pytest.mark.parametrize(
    ("series", "reached"),
    [
        (
            {"training_accuracy": 0.5, "validation_accuracy": 0.75},
            "75.00 % of the validation data ",
        ),
        ({"training_accuracy": 0.5}, "50.00 % of the training data "),
        ({"training_cost": 0.5, "test_cost": 2.0}, "test cost 2 "),
        ({}, ""),
    ],
)
def test_the_title_names_the_network_and_what_it_reached(net, name, series, reached):
    net.history = history(2, **{key: lambda i, v=v: v for key, v in series.items()})
    figure = plot.learning_curve(net)
    assert (
        title(figure).replace("-\n", "-").replace("\n", " ")
        == f"{name}: {reached}after 2 epochs"
    )
    figure.draw_without_rendering()
    assert inside(figure)


@draws
def test_a_figure_that_is_not_finite_is_counted_and_not_taken_for_the_last():
    values = [2.0, 1.0, math.inf, math.nan]
    figure = plot.learning_curve(history(4, test_cost=values.__getitem__))
    assert title(figure) == "After 4 epochs"
    assert figure.axes[0].get_title("right") == "2 of 4 values are not finite"


@draws
@pytest.mark.parametrize(
    "cost",
    [
        lambda i: math.inf if i % 2 else 1.0,
        lambda i: 10.0 ** (50 * i),
        lambda i: 10.0 ** (-50 * i),
        lambda i: (i - 3) * 1e90,
        lambda i: -math.inf if i else 1e-300,
        lambda i: 0.0,
    ],
)
def test_any_cost_can_be_drawn(cost):
    figure = plot.learning_curve(history(6, training_cost=cost, test_accuracy=lambda i: 0.0))
    figure.draw_without_rendering()
    assert all(np.isfinite(axes.get_ylim()).all() for axes in figure.axes)


@draws
def test_costs_of_very_different_sizes_get_a_logarithmic_axis():
    (axes,) = plot.learning_curve(
        history(9, training_cost=lambda i: 1e-4 / (i + 1), test_cost=lambda i: 1.0)
    ).axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1e-4 / 9 < 1 < axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (None, TypeError, "history must be a list of dicts, got NoneType"),
        ({}, TypeError, "history must be a list of dicts, got dict"),
        ([], ValueError, "history must have an accuracy, cost or update to draw, got none"),
        (
            [{"epoch": 0}],
            ValueError,
            "history must have an accuracy, cost or update to draw, got none",
        ),
        (
            [{"epoch": 0}, 7],
            TypeError,
            "history[1] must be a dict with numbers as epoch and training_accuracy, got 7",
        ),
        (
            [{"update": 0.1}],
            TypeError,
            "history[0] must be a dict with numbers as epoch and training_accuracy, "
            "got {'update': 0.1}",
        ),
        (
            [{"epoch": 0, "test_cost": "low"}],
            TypeError,
            "history[0] must be a dict with numbers as epoch and test_cost, "
            "got {'epoch': 0, 'test_cost': 'low'}",
        ),
        (
            [{"epoch": 0, "test_accuracy": 95}],
            ValueError,
            "history[0]: test_accuracy must be from 0 to 1, got 95.0",
        ),
    ],
)
def test_what_is_no_history_is_refused(rows, error, message):
    with pytest.raises(error) as raised:
        plot.learning_curve(rows)
    assert str(raised.value) == message


# weights_as_images


@draws
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_each_image_is_a_neurons_weights(dtype):
    net = bpnet.Network([9, 7, 2], seed=0, dtype=dtype)
    figure = plot.weights_as_images(net, columns=3)
    images = figure.axes[0].images
    assert np.array_equal([image.get_array().ravel() for image in images], net.weights[0])
    assert {image.get_array().shape for image in images} == {(3, 3)}
    assert title(figure) == "Weights into the first layer: 7 of 7 neurons"
    assert len(figure.axes) == 2 and figure.axes[1].get_ylabel() == "weight"
    places = [image.get_extent() for image in images]  # left, right, bottom, top
    assert len({left for left, *_ in places}) == 3
    assert places == sorted(places, key=lambda place: (place[3], place[0]))
    figure.draw_without_rendering()
    assert apart(images)


@draws
def test_colours_are_centred_at_0_and_the_same_for_all_whatever_a_few_weights_are():
    net = bpnet.Network([100, 5, 2], seed=0)
    (scale,) = {image.get_clim() for image in plot.weights_as_images(net).axes[0].images}
    assert scale[0] == -scale[1] and 2 < scale[1] < 5  # of 500 normal numbers
    net.weights[0][0, :3] = 1e6, math.inf, math.nan
    (robust,) = {image.get_clim() for image in plot.weights_as_images(net).axes[0].images}
    assert robust[0] == -robust[1] and 2 < robust[1] < 5
    net.weights[0][:] = 0
    (zero,) = {image.get_clim() for image in plot.weights_as_images(net).axes[0].images}
    assert zero == (-1, 1)


@draws
def test_the_first_100_neurons_are_drawn():
    net = bpnet.Network([4, 120, 2], seed=0)
    figure = plot.weights_as_images(net, columns=1000)
    images = [image.get_array().ravel() for image in figure.axes[0].images]
    assert np.array_equal(images, net.weights[0][:100])
    assert title(figure) == "Weights into the first layer: 100 of 120 neurons"


# confusion_matrix and misread_digits


FORMS = {
    "list": lambda: EXAMPLES,
    "tuple": lambda: tuple(EXAMPLES),
    "iterator": lambda: iter(EXAMPLES),
    "one-hot": lambda: [(x, y[:, None]) for (x, _), y in zip(EXAMPLES, Y)],
    "mixed": lambda: [(x, y if x[0] > 0 else [k]) for (x, k), y in zip(EXAMPLES, Y)],
    "arrays": lambda: (X, LABELS),
    "arrays, one-hot": lambda: (np.asfortranarray(X), Y),
    "arrays, labels in floats": lambda: (X, LABELS[:, None].astype(float)),
    "arrays in a list": lambda: [X, LABELS],
    "frames": lambda: (Frame(X), Frame(LABELS)),
    "sparse": lambda: (Sparse(X), LABELS.tolist()),
    "Dataset": lambda: bpnet.Dataset(EXAMPLES),
    "Dataset, one-hot": lambda: bpnet.Dataset((X, Y)),
}


def counts_of(labels, read, n):
    return [[int(((labels == i) & (read == j)).sum()) for j in range(n)] for i in range(n)]


def cells(axes, n):
    """Return the counts written into the n by n cells: 0 where there is none."""
    counts = np.zeros((n, n), int)
    for text in axes.texts:
        j, i = text.get_position()
        if 0 <= i < n and 0 <= j < n - 0.5:
            counts[i, j] = int(text.get_text().replace(",", ""))
    return counts.tolist()


@draws
@pytest.mark.parametrize("form", FORMS)
def test_the_matrix_counts_what_was_read(form, monkeypatch):
    monkeypatch.setattr(plot, "_BLOCK", 7)
    figure = plot.confusion_matrix(NET, FORMS[form]())
    axes = figure.axes[0]
    counts = np.array(counts_of(LABELS, READ, 4))
    assert cells(axes, 4) == counts.tolist()
    right, totals = counts.diagonal(), counts.sum(axis=1)
    accuracy = 100 * right.sum() / 50
    assert right.sum() == NET.evaluate(EXAMPLES)
    assert (
        title(figure)
        == f"Accuracy {accuracy:.2f} %: {right.sum()} of 50 examples classified rightly"
    )
    recalls = [f"{100 * share:.1f} %" for share in right / totals]
    assert texts(axes)[-5:] == ["recall", *recalls]
    shares = axes.images[0].get_array()
    assert np.array_equal(shares.mask, np.eye(4))  # the diagonal has no part in the colours
    assert np.allclose(shares, 100 * counts / totals[:, None])
    assert axes.images[0].get_clim() == (0, shares.max())


@draws
@pytest.mark.parametrize("n", [2, 3, 25, 60])
def test_there_may_be_any_number_of_classes(n):
    draw = np.random.RandomState(n)
    net, x, labels = bpnet.Network([5, n], seed=n), draw.randn(99, 5), draw.randint(n, size=99)
    labels[labels == 1] = 0  # of 1 there is no example
    figure = plot.confusion_matrix(net, (x, labels))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    counts = np.array(counts_of(labels, net.feedforward(x.T).argmax(axis=0), n))
    off = counts * (1 - np.eye(n))
    assert np.allclose(
        axes.images[0].get_array().filled(0),
        100 * off / counts.sum(axis=1, keepdims=True).clip(1),
    )
    if n <= 50:
        assert cells(axes, n) == counts.tolist()
        assert len(texts(axes)) == (counts > 0).sum() + 1 + (counts.sum(axis=1) > 0).sum()
        assert apart([*axes.texts, figure._suptitle, axes.yaxis.label, figure.axes[1].patch])
    else:
        assert not axes.texts
    inside = figure.bbox.padded(1)
    for part in (axes.yaxis.label, axes.xaxis.label, figure.axes[1].yaxis.label):
        assert inside.containsx(part.get_window_extent().x0)


@draws
def test_a_tie_is_read_as_the_first_and_no_error_is_no_colour():
    net = bpnet.Network([4, 3], seed=0)
    net.weights, net.biases = [np.zeros((3, 4))], [np.zeros((3, 1))]
    figure = plot.confusion_matrix(net, (np.ones((1234, 4)), np.zeros(1234, int)))
    assert texts(figure.axes[0]) == ["1,234", "recall", "100.0 %"]
    assert title(figure) == "Accuracy 100.00 %: 1,234 of 1,234 examples classified rightly"
    assert figure.axes[0].images[0].get_array().max() == 0


@draws
@pytest.mark.parametrize("form", FORMS)
def test_the_misread_are_drawn_surest_first(form, monkeypatch):
    monkeypatch.setattr(plot, "_BLOCK", 7)
    figure = plot.misread_digits(NET, FORMS[form](), n=8, columns=3)
    wrong = np.flatnonzero(READ != LABELS)
    surest = sorted(wrong, key=lambda i: -OUTPUTS[i].max())[:8]
    axes = figure.axes[0]
    assert np.array_equal([image.get_array().ravel() for image in axes.images], X[surest])
    assert texts(axes) == [f"{LABELS[i]} as {READ[i]}\n{OUTPUTS[i].max():.4f}" for i in surest]
    assert title(figure) == f"8 of {len(wrong)} mistakes in 50 examples, surest first"
    for image, text in zip(axes.images, axes.texts):
        left, right, bottom, _ = image.get_extent()
        assert text.get_position()[0] == (left + right) / 2
        assert bottom < text.get_position()[1]
    figure.draw_without_rendering()
    assert apart([*axes.images, *axes.texts, figure._suptitle])


@draws
def test_all_of_few_mistakes_are_drawn():
    figure = plot.misread_digits(NET, (X, LABELS))
    assert len(figure.axes[0].images) == (READ != LABELS).sum()
    assert title(plot.misread_digits(NET, EXAMPLES, n=1)).startswith("1 of ")


@draws
def test_no_mistake_is_said():
    figure = plot.misread_digits(NET, (X, READ))
    assert title(figure) == "No mistakes: all 50 examples are classified rightly"
    assert not texts(figure.axes[0]) and not figure.axes[0].axison
    figure.draw_without_rendering()


@pytest.mark.parametrize("draw", [plot.confusion_matrix, plot.misread_digits])
@pytest.mark.parametrize(
    ("test_data", "error", "message"),
    [
        ([], ValueError, "test_data must hold at least one example, got none"),
        (iter(()), ValueError, "test_data must hold at least one example, got none"),
        (
            (np.empty((0, 9)), np.empty(0)),
            ValueError,
            "test_data must hold at least one example, got none",
        ),
        (
            5,
            TypeError,
            "test_data must be a list of (x, y) or a pair of arrays (X, Y), got int",
        ),
        ([5], TypeError, "test_data[0] must be a pair (x, y), got int"),
        (
            [(X[0], 1)],
            ValueError,
            "test_data[0]: x has shape (9,), expected (9, 1): use x.reshape(-1, 1)",
        ),
        (
            (X[:1], np.array([4])),
            ValueError,
            "test_data[1][0]: label must be an integer in [0, 4), got 4",
        ),
        (
            bpnet.Dataset((X, LABELS), dtype="float32"),
            ValueError,
            "test_data must be a Dataset of the network's dtype, float64, got float32",
        ),
    ],
)
def test_test_data_is_checked_as_evaluate_does(draw, test_data, error, message):
    with pytest.raises(error) as raised:
        draw(NET, test_data)
    assert str(raised.value) == message


# every picture

PICTURES = {
    "learning_curve": lambda: plot.learning_curve(history(3, test_accuracy=rising)),
    "learning_curve of one": lambda: plot.learning_curve(history(1, test_accuracy=rising)),
    "weights_as_images": lambda: plot.weights_as_images(NET),
    "confusion_matrix": lambda: plot.confusion_matrix(NET, EXAMPLES),
    "misread_digits": lambda: plot.misread_digits(NET, EXAMPLES, n=5),
    "misread_digits of none": lambda: plot.misread_digits(NET, (X, READ)),
}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: plot.weights_as_images(NET.weights),
            TypeError,
            "net must be a bpnet.Network, got list",
        ),
        (
            lambda: plot.confusion_matrix(None, EXAMPLES),
            TypeError,
            "net must be a bpnet.Network, got NoneType",
        ),
        (
            lambda: plot.confusion_matrix(bpnet.Network([9, 1]), EXAMPLES),
            ValueError,
            "net must have two outputs or more, got sizes [9, 1]",
        ),
        (
            lambda: plot.weights_as_images(bpnet.Network([8, 2])),
            ValueError,
            "net must have a square of inputs, as 784, got 8",
        ),
        (
            lambda: plot.misread_digits(bpnet.Network([8, 2]), []),
            ValueError,
            "net must have a square of inputs, as 784, got 8",
        ),
        (
            lambda: plot.weights_as_images(NET, columns=0),
            ValueError,
            "columns must be at least 1, got 0",
        ),
        (
            lambda: plot.misread_digits(NET, EXAMPLES, n=2.0),
            TypeError,
            "n must be an integer, got 2.0",
        ),
    ],
)
def test_other_arguments_are_checked(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message


@draws
@pytest.mark.parametrize("name", PICTURES)
def test_a_figure_is_saved_shown_and_pickled(name, tmp_path):
    figure = PICTURES[name]()
    figure.savefig(tmp_path / "picture.png", dpi=30)
    assert (tmp_path / "picture.png").read_bytes().startswith(PNG)
    assert figure.axes  # a figure without any is shown as text alone by IPython's pyplot
    copy = pickle.loads(pickle.dumps(figure))
    assert copy._repr_png_().startswith(PNG)  # what a notebook asks for


@draws
def test_the_reference_can_be_drawn():
    net = twin(NET)
    for picture in (plot.confusion_matrix, plot.misread_digits):
        ours, book = (picture(each, EXAMPLES).axes[0] for each in (NET, net))
        assert texts(ours) == texts(book)
    images = plot.weights_as_images(net).axes[0].images
    assert np.array_equal([image.get_array().ravel() for image in images], NET.weights[0])


@draws
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_changes(name, nothing_changes):
    from matplotlib import rcParams

    settings = dict(rcParams)
    with nothing_changes(NET, EXAMPLES):
        PICTURES[name]()
    assert dict(rcParams) == settings


@draws
def test_pyplot_is_left_alone():
    script = (
        "import sys, bpnet; from bpnet import plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.weights_as_images(bpnet.Network([4, 2]))._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("name", PICTURES)
def test_without_matplotlib_the_error_says_how_to_get_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as raised:
        PICTURES[name]()
    assert str(raised.value) == 'a picture needs matplotlib: pip install "bpnet[plot]"'
