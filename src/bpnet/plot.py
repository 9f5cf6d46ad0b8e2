"""Pictures of a network and its training: matplotlib Figures, made without global state."""

from __future__ import annotations

import functools
import io
import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpnet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Figure = Any  # matplotlib's, which is imported when a picture is drawn

__all__ = [
    "confusion_matrix",
    "learning_curve",
    "misread_digits",
    "search_result",
    "weights_as_images",
]

_INK, _PALE = "#22303C", "#E6EAEE"
_STYLES: dict[str, dict[str, Any]] = {  # dashes and widths tell curves apart in grey, too
    "training": {"color": "#6F8799", "linewidth": 1.4, "linestyle": (0, (3, 1))},
    "validation": {"color": "#0072B2", "linewidth": 2.2, "linestyle": (0, (1, 0.6))},
    "evaluation": {"color": "#00785A", "linewidth": 2, "linestyle": (0, (6, 1, 1, 1))},
    "test": {"color": "#D55E00", "linewidth": 2},
    "": {"color": _INK},  # of no data: the update of the weights
}
_ACCURACY, _COST, _UPDATE = "accuracy (%)", "cost", "relative change of the weights"
_FAR = 1e100  # no axis reaches so far: what is larger counts as infinite
_MOST_NEURONS = 100
_MOST_COUNTS = 50  # classes, of which each count can still be read
_BLOCK = 1000  # examples run through the network at a time


def learning_curve(history: Any) -> Figure:
    """Draw the accuracy and the cost of each epoch or, without them, how the weights changed.

    history is a trained network, which the title then names, or its history: a dict for each
    epoch, with "epoch", "update" and any of "<data>_accuracy", from 0 to 1, and "<data>_cost",
    <data> being training, validation, evaluation or test; what is None or not finite is left
    out.  Costs are drawn without regularisation where each has its "<data>_penalty", else as
    they are; the axis says which.  The best accuracy is marked on the first of the latter three
    data.  Of one epoch there is no curve, but text.  Raises TypeError or ValueError if history
    is not so or has nothing to draw.
    """
    named = f"{_name(history)}: " if hasattr(history, "history") else ""
    history = getattr(history, "history", history)
    if not isinstance(history, list):
        raise TypeError(f"history must be a list of dicts, got {type(history).__name__}")
    found = [(_ACCURACY, _curves(history, "_accuracy")), _costs(history)]
    panels = [panel for panel in found if panel[1]] or [(_UPDATE, _curves(history, "update"))]
    if not panels[0][1]:
        raise ValueError("history must have an accuracy, cost or update to draw, got none")
    epochs = f"{len(history):,} epoch{'s' * (len(history) > 1)}"
    title = f"{named}{_reached(*panels[0])}after {epochs}"
    title = title[0].upper() + title[1:]
    if all(len(curve.drawn.x) == 1 for _, curves in panels for curve in curves.values()):
        return _tell(title, panels)
    figure = _figure(1 + 4.6 * len(panels), 4.2, title)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        _draw_curves(axes, *panel)
    return figure


@np.errstate(under="ignore")  # of a percentile of small weights
def weights_as_images(net: bpnet.reference.Network, columns: int = 10) -> Figure:
    """Draw the incoming weights of each neuron of the first layer as a square image.

    At most 100 neurons are drawn, columns in a row, all in one scale of colours.  Raises
    TypeError or ValueError if the inputs of net are no square or columns is not positive.
    """
    side = _side(net, columns=columns)
    weights = np.asarray(net.weights[0][:_MOST_NEURONS])
    sizes = np.abs(weights[np.isfinite(weights)])
    most = np.percentile(sizes, 99.5) if sizes.any() else 1.0  # a few far out would pale all
    title = f"Weights into the first layer: {len(weights)} of {len(net.weights[0])} neurons"
    colours = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    axes = _draw_tiles(title, weights.reshape(-1, side, side), columns, [], **colours)
    _add_colour_bar(axes, "weight", extend="both")
    return axes.figure


def confusion_matrix(net: bpnet.reference.Network, test_data: Iterable[Any]) -> Figure:
    """Draw how often the examples of each label (row) were classified as each class (column).

    Errors are coloured by their share of the row; beside it stands its recall, the share that
    was classified rightly.  Counts other than 0 are written, of up to 50 classes.  test_data is
    what ``Network.evaluate`` takes.  Raises TypeError or ValueError if it is not, or is empty.
    """
    _, labels, outputs = _read(net, test_data)
    n = outputs.shape[1]
    counts = np.bincount(n * labels + outputs.argmax(axis=1), minlength=n * n).reshape(n, n)
    right, totals = counts.diagonal(), counts.sum(axis=1)
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    np.fill_diagonal(shares, np.nan)
    most, size = np.nanmax(shares) or 1.0, min(max(0.5 * n, 4), 12)
    accuracy = f"Accuracy {100 * right.sum() / len(labels):.2f} %"
    title = f"{accuracy}: {right.sum():,} of {len(labels):,} examples classified rightly"
    axes = _figure(max(size + 2.2, 6.5), size + 1.2, title).subplots()
    axes.imshow(shares, cmap="Oranges", vmin=0, vmax=most)
    _clear(axes, facecolor="#CBD5DD", xlabel="classified as", ylabel="label")  # of the diagonal
    _add_colour_bar(axes, "errors: share of the label's examples (%)")
    if n > _MOST_COUNTS:
        return axes.figure
    axes.set(xticks=range(n), yticks=range(n))
    font = {"va": "center", "fontsize": min(9.5, 16 * size / n)}
    for i, j in np.argwhere(counts):
        colour = "white" if shares[i, j] > 0.6 * most else _INK
        weight = "bold" if i == j else "normal"
        axes.text(j, i, f"{counts[i, j]:,}", ha="center", color=colour, weight=weight, **font)
    axes.text(n - 0.3, -0.75, "recall", color=_INK, **font)
    for i in np.flatnonzero(totals):
        axes.text(n - 0.3, i, f"{100 * right[i] / totals[i]:.1f} %", color=_INK, **font)
    return axes.figure


def misread_digits(
    net: bpnet.reference.Network, test_data: Iterable[Any], n: int = 50, columns: int = 10
) -> Figure:
    """Draw the examples that net classifies wrongly, the surest mistakes first.

    Below each of at most n images, columns in a row, stand its label, what it is taken for and
    the activation of that output.  test_data is what ``Network.evaluate`` takes.  Raises
    TypeError or ValueError if an argument is not as described or net's inputs are no square.
    """
    side = _side(net, n=n, columns=columns)
    examples, labels, outputs = _read(net, test_data)
    answers, activation = outputs.argmax(axis=1), outputs.max(axis=1)
    wrong = np.flatnonzero(answers != labels)
    shown = wrong[np.argsort(-activation[wrong], kind="stable")][:n].tolist()
    if not shown:
        return _text(f"No mistakes: all {len(labels):,} examples are classified rightly", [])
    title = f"{len(shown)} of {len(wrong):,} mistakes in {len(labels):,} examples, surest first"
    texts = [f"{labels[i]} as {answers[i]}\n{activation[i]:.4f}" for i in shown]
    images = np.array([examples[i][0] for i in shown]).reshape(-1, side, side)
    colours = {"cmap": "Greys", "vmin": min(0, images.min()), "vmax": images.max()}
    return _draw_tiles(title, images, columns, texts, **colours).figure


def search_result(rows: list[dict[str, Any]], smallest: dict[str, Any] | None = None) -> Figure:
    """Draw how well networks do against their number of parameters: what a search found.

    rows are those of ``bpnet.search.run(...).rows``.  Settings of the last rung are drawn with
    the range of their seeds and named by their hidden layers, those that were stopped before
    are pale; smallest, a row, is ringed.  Raises ValueError if all diverged.
    """
    shown = [row for row in rows if row["diverged"] is None]
    if not shown:
        raise ValueError("rows must have a setting that did not diverge, got none")
    percent = "validation_accuracy" in shown[0]
    figure, scale = ("validation_accuracy", 100) if percent else ("validation_cost", 1)
    last = max(row["epochs"] for row in shown)
    points = np.array([[row["parameters"], scale * row[figure]] for row in shown])
    ended = np.array([row["epochs"] == last for row in shown])
    whole = [row for row in shown if row["epochs"] == last]
    trained = "each" if len(whole) == len(rows) else f"{len(whole)} of them"
    title = f"{len(rows)} settings, {trained} trained for {last} epochs"
    axes = _figure(7.6, 4.6, title).subplots()
    label = "validation accuracy (%)" if percent else "validation cost"
    _clear(
        axes,
        facecolor="white",
        xlabel="parameters (beside a point: its hidden layers)",
        ylabel=label,
        xscale="log",
    )
    axes.grid(color=_PALE, linewidth=0.8)
    if not ended.all():
        axes.plot(*points[~ended].T, "o", color="#9FB0BD", ms=4, label="stopped early")
    ends = scale * np.array([[row["lowest"], row["highest"]] for row in whole])
    means = points[ended, 1]
    seeds = f", mean and range of {whole[0]['seeds']} seeds" if whole[0]["seeds"] > 1 else ""
    colour = _STYLES["validation"]["color"]
    axes.errorbar(
        *points[ended].T,
        np.abs(ends.T - means),
        **{
            "fmt": "o",
            "ms": 5,
            "capsize": 3,
            "color": colour,
            "label": f"{last} epochs{seeds}",
        },
    )
    if smallest is not None:
        place = smallest["parameters"], scale * smallest[figure]
        text = "the smallest that is as good as the best"
        axes.plot(*place, "o", ms=13, fillstyle="none", color=_INK, label=text)
    _name_points(axes, points[ended], ["-".join(map(str, row["hidden"])) for row in whole])
    axes.xaxis.set_major_locator(_located(points[:, 0]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.margins(x=0.12, y=0.12)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK, loc="best")
    return axes.figure


def _name_points(axes: Any, points: Array, names: list[str]) -> None:
    """Write names, each once, beside points, to the side where no other point is near."""
    first = {name: point for point, name in [*zip(points, names)][::-1]}
    for name, (x, y) in first.items():
        nearer = np.log(points[:, 0] / x)
        right = bool((nearer > 0).any()) and nearer[nearer > 0].min() < 0.25
        side = {"ha": "right", "xytext": (-7, 4)} if right else {"ha": "left", "xytext": (7, 4)}
        font = {"textcoords": "offset points", "color": _INK, "fontsize": 8.5}
        axes.annotate(name or "none", (x, y), **side, **font)


def _located(values: Array) -> Any:
    """Return where a logarithmic axis has its numbers: so that there are some."""
    from matplotlib.ticker import LogLocator

    decades = np.log10(values.max() / values.min())
    return LogLocator(subs=(1.0,) if decades > 3 else (1.0, 2.0, 5.0), numticks=12)


def _figure(width: float, height: float, title: str) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('a picture needs matplotlib: pip install "bpnet[plot]"') from None
    figure: Any = Figure((width, height), dpi=150, facecolor="white", layout="constrained")
    room = int(9.8 * width)  # characters of the widest kind that a title has
    parts = [title] if len(title) <= room else title.replace(": ", ":\n", 1).split("\n")
    title = "\n".join(textwrap.fill(part, room) for part in parts)
    figure.suptitle(title, x=0.012, ha="left", color=_INK, fontsize=12, fontweight="bold")
    figure._repr_png_ = functools.partial(_png, figure)  # a notebook shows it by itself
    return figure


def _text(title: str, lines: list[str]) -> Figure:
    """Return a figure of words alone."""
    figure = _figure(6.5, 0.85 + 0.25 * len(lines), title)
    axes = figure.subplots()  # without any, IPython shows nothing
    axes.set_axis_off()
    axes.text(0.01, 0, "\n".join(lines), color=_INK, fontsize=10, linespacing=1.5)
    return figure


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _clear(axes: Any, **properties: Any) -> None:
    """Take away the frame and the ticks, and set properties."""
    axes.set(**properties)
    axes.tick_params(length=0, which="both", colors=_INK, labelsize=9)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.spines[:].set_visible(False)


def _draw_tiles(title: str, images: Array, columns: int, texts: Any, **colours: Any) -> Any:
    """Return axes with images 1 by 1, in rows of columns, and below each its text, if any."""
    columns = min(columns, len(images))
    rows, inches = -(-len(images) // columns), max(0.9, 4 / columns)
    step = 1.08 + (0.4 / inches if texts else 0)
    axes = _figure(max(5.4, inches * columns + 1), inches * step * rows + 0.5, title).subplots()
    for i, (image, text) in enumerate(itertools.zip_longest(images, texts)):
        x, y = 1.08 * (i % columns), step * (i // columns)
        axes.imshow(image, extent=(x, x + 1, y + 1, y), **colours)
        axes.text(x + 0.5, y + 1.05, text, ha="center", va="top", color=_INK, fontsize=8)
    axes.set(xlim=(0, 1.08 * columns - 0.08), ylim=(step * rows, 0))
    axes.set_axis_off()
    return axes


def _add_colour_bar(axes: Any, label: str, **options: Any) -> None:
    place = {"fraction": 0.05, "pad": 0.02, "aspect": 30, "panchor": (0, 0.5)}
    bar = axes.figure.colorbar(axes.images[0], ax=axes, **place, **options)
    _clear(bar.ax, ylabel=label)


class _Curve(NamedTuple):
    """What each epoch's record has under a key: nan for nothing, inf for what is not finite."""

    x: Array
    y: Array

    @property
    def drawn(self) -> _Curve:
        """What is drawn of it."""
        seen = (abs(self.x) < _FAR) & (abs(self.y) < _FAR)
        return _Curve(self.x[seen], self.y[seen])


def _curves(history: list[dict[str, Any]], what: str) -> dict[str, _Curve]:
    """Return the curves of the keys data + what, if there is a point to draw."""
    curves = {}
    for data in _STYLES:
        key, points = data + what, []
        for i, row in enumerate(history):
            try:
                value = math.nan if row.get(key) is None else float(row[key])
                points.append((float(row["epoch"]), value))
            except (AttributeError, KeyError, TypeError, ValueError):
                rule = f"history[{i}] must be a dict with numbers as epoch and {key}"
                raise TypeError(f"{rule}, got {row!r}") from None
            if what == "_accuracy" and (value < 0 or value > 1):
                raise ValueError(f"history[{i}]: {key} must be from 0 to 1, got {value}")
            if math.isnan(value) and row.get(key) is not None:
                points[-1] = points[-1][0], math.inf
        x, y = np.array(points, ndmin=2).T if points else np.empty((2, 0))
        curve = _Curve(x, 100 * y if what == "_accuracy" else y)
        if len(curve.drawn.x):
            curves[data] = curve
    return curves


def _costs(history: list[dict[str, Any]]) -> tuple[str, dict[str, _Curve]]:
    """Return the curves of the costs, without regularisation if that is known, and a label."""
    curves, penalties = _curves(history, "_cost"), _curves(history, "_penalty")
    for data, (_, cost) in curves.items():
        if data not in penalties or np.isnan(penalties[data].y[np.isfinite(cost)]).any():
            return f"{_COST}, any regularisation included", curves
    if not any((penalties[data].y > 0).any() for data in curves):
        return _COST, curves
    added = {
        data: np.where(np.isinf(y), 0, penalties[data].y) for data, (_, y) in curves.items()
    }
    plain = {data: _Curve(x, y - added[data]) for data, (x, y) in curves.items()}
    return f"{_COST}, without regularisation", plain


def _name(net: Any) -> str:
    """Return what a network is, in short: sizes, activation, output."""
    cost = getattr(net, "cost", None)
    own = cost if isinstance(cost, type) else type(cost)
    hidden = [net.hidden] if len(net.sizes) > 2 and net.hidden != "sigmoid" else []
    return ", ".join(["-".join(map(str, net.sizes)), *hidden, net.output or own.__name__])


def _reached(label: str, curves: dict[str, _Curve]) -> str:
    """Return the last epoch's figure, of held-out data if there is any, as a title says it."""
    data = _held_out(curves) or "training"
    value = math.nan if label == _UPDATE else curves[data].y[-1]
    if not abs(value) < _FAR:
        return ""
    if label == _ACCURACY:
        return f"{value:.2f} % of the {data} data "
    return f"{data} cost {value:.4g} "


def _held_out(curves: dict[str, _Curve]) -> str | None:
    return next((data for data in curves if data not in ("", "training")), None)


def _tell(title: str, panels: list[tuple[str, dict[str, _Curve]]]) -> Figure:
    """Say the figures of a single epoch."""
    lines = []
    for label, curves in panels:
        each = [f"{data} {curve.drawn.y[-1]:.4g}" for data, curve in curves.items()]
        lines.append(f"{label}: {', '.join(each).strip()}")
    return _text(title, [*lines, "A curve takes two epochs."])


def _draw_curves(axes: Any, label: str, curves: dict[str, _Curve]) -> None:
    """Draw curves, each named at its end, and mark the best accuracy on held-out data."""
    _clear(axes, facecolor="white", xlabel="epoch", ylabel=label)
    axes.grid(color=_PALE, linewidth=0.8)
    shown = {data: curve.drawn for data, curve in curves.items()}
    for data, (x, y) in shown.items():
        axes.plot(x, y, marker="." if len(x) <= 40 else "", ms=7, label=data, **_STYLES[data])
    epochs, values = np.concatenate([*shown.values()], axis=1)
    axes.margins(x=0.02)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _set_limits(axes, epochs, values, label)
    _name_ends(axes, {data: (x[-1], y[-1]) for data, (x, y) in shown.items()})
    held_out = _held_out(curves)
    if label == _ACCURACY and held_out:
        _mark_best(axes, held_out, *shown[held_out])
    lost = sum(int((abs(y) >= _FAR).sum()) for _, y in curves.values())
    if lost:
        text = f"{lost} of {sum(len(y) for _, y in curves.values())} values are not finite"
        axes.set_title(text, loc="right", color=_INK, fontsize=9.5)


def _name_ends(axes: Any, ends: dict[str, tuple[float, float]]) -> None:
    """Write each name right of its curve's end, a line between them if there are others."""
    to_panel = axes.transScale + axes.transLimits
    ends = {data: end for data, end in ends.items() if data}
    points = {data: to_panel.transform(end) for data, end in ends.items()}
    for x in {x for x, _ in ends.values()}:
        names = [data for data in ends if ends[data][0] == x]
        names.sort(key=lambda data: points[data][1])
        for data, place in zip(names, _spread([points[data][1] for data in names], 0.065)):
            colour = _STYLES[data]["color"]
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0}
            axes.annotate(
                data,
                ends[data],
                (points[data][0] + 0.04, place),
                textcoords="axes fraction",
                va="center",
                color=colour,
                arrowprops=line,
                bbox={"facecolor": "white", "linewidth": 0, "pad": 1, "alpha": 0.8},
                annotation_clip=False,
            )


def _spread(ends: list[float], gap: float) -> Array:
    """Return where in [0, 1] names of sorted ends stand: gap apart, and as near as can be.

    Less a gap for each name below, they are the ends' isotonic regression.
    """
    steps = gap * np.arange(len(ends))
    free, n = np.array(ends) - steps, len(ends)
    places = [
        max(min(free[a:b].mean() for b in range(i + 1, n + 1)) for a in range(i + 1))
        for i in range(n)
    ]
    return np.clip(places, 0, max(0, 1 - gap * (n - 1))) + steps


@np.errstate(under="ignore")
def _set_limits(axes: Any, epochs: Array, values: Array, label: str) -> None:
    """Choose the y axis so that the first epochs do not squash the others.

    All that comes after the first quarter of the points is seen; of what lies outside its
    range before, as much again.  The rest runs off the panel.  The axis is logarithmic, with
    room for all, of the update and of costs that differ by a factor of more than 1000.
    """
    later = values[epochs >= np.quantile(epochs, 0.25, method="lower")]
    log = later.min() > 1 / _FAR and (label == _UPDATE or later.max() > 1000 * later.min())
    if log:
        axes.set_yscale("log", nonpositive="mask")
        values = later = np.log10(values[values > 1 / _FAR])
    span = max(np.ptp(later), 0.02 * abs(later.max())) or 1.0
    low, high = np.clip([later.min() - span, later.max() + span], values.min(), values.max())
    low, high = low - 0.1 * span, high + 0.1 * span
    axes.set_ylim((10**low, 10**high) if log else (low, high))


def _mark_best(axes: Any, data: str, x: Array, y: Array) -> None:
    """Ring the highest of the accuracies y, and say it above the panel."""
    best, colour = y.argmax(), _STYLES[data]["color"]
    axes.plot(x[best], y[best], "o", markersize=10, fillstyle="none", color=colour)
    text = f"best {data}: {y[best]:.2f} %, epoch {x[best]:.0f}"
    axes.set_title(text, loc="left", color=colour, fontsize=9.5)


def _sizes(net: Any) -> list[int]:
    if not all(hasattr(net, name) for name in ("sizes", "biases", "weights")):
        raise TypeError(f"net must be a bpnet.Network, got {type(net).__name__}")
    return list(net.sizes)


def _side(net: bpnet.reference.Network, **numbers: Any) -> int:
    """Return the side of the square that an input of net is; check numbers to be positive."""
    n_in = _sizes(net)[0]
    side = math.isqrt(n_in)
    if side * side != n_in:
        raise ValueError(f"net must have a square of inputs, as 784, got {n_in}")
    for name, value in numbers.items():
        if not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return side


def _read(net: bpnet.reference.Network, test_data: Any) -> tuple[Any, Array, Array]:
    """Return the examples, pairs that can be indexed, their labels and net's outputs."""
    if _sizes(net)[-1] < 2:
        raise ValueError(f"net must have two outputs or more, got sizes {net.sizes}")
    examples = list(test_data) if isinstance(test_data, Iterator) else test_data
    judge = bpnet.Network(net.sizes, dtype=getattr(net, "dtype", np.float64), seed=0)
    judge.evaluate(examples)  # raises what is wrong with them
    if not isinstance(examples, bpnet.Dataset):
        arrays = isinstance(examples, tuple) and {*map(type, examples)} == {np.ndarray}
        pair = isinstance(examples, (tuple, list)) and len(examples) == 2
        if pair and not arrays and not isinstance(examples[0], tuple):
            examples = bpnet.Dataset(examples)
        else:
            examples = list(zip(*examples) if arrays else examples)
    if not len(examples):
        raise ValueError("test_data must hold at least one example, got none")
    labels, outputs, rest = [], [], iter(examples)
    while block := list(itertools.islice(rest, _BLOCK)):
        x, y = zip(*block)
        labels.append(_labels(y))
        rows = np.array(x).reshape(len(x), -1)
        predict = getattr(net, "predict", None)
        outputs.append(predict(rows) if predict else net.feedforward(rows.T).T)
    return examples, np.concatenate(labels), np.concatenate(outputs)


def _labels(targets: Any) -> Array:
    """Return targets known to be good, numbers or vectors of outputs, as labels."""
    try:
        rows = np.array(targets).reshape(len(targets), -1)
    except ValueError:  # numbers and vectors mixed
        return np.concatenate([_labels([y]) for y in targets])
    return (rows[:, 0] if rows.shape[1] == 1 else rows.argmax(axis=1)).astype(np.int64)
