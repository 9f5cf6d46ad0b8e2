"""Where do the pictures of docs/ come from?  From bench/results, by matplotlib.

Draws initial-weights.png, overfitting.png, how-many-neurons.png, a-minute.png and, by bpnet
itself, distortions.png in docs/; nothing is measured here.
"""

import json
import pathlib

from harness import can_draw

TOP = pathlib.Path(__file__).resolve().parents[1]
OURS, THEIRS, INK, PALE = "#D55E00", "#6F8799", "#22303C", "#E6EAEE"


def main():
    if not can_draw():
        return
    for name, page, draw in [
        ("initial-weights", "initial-weights", initial_weights),
        ("overfitting", "overfitting", overfitting),
        ("neurons", "how-many-neurons", neurons),
        ("best", "a-minute", seconds),
        (None, "distortions", distortions),
    ]:
        results = TOP / "bench" / "results"
        figure = draw(json.loads((results / f"{name}.json").read_text())) if name else draw()
        path = TOP / "docs" / f"{page}.png"
        figure.savefig(path, facecolor="white")
        print(path)


def canvas(title, panels=1, beside=0):
    """Return (figure, axes) without frames, with so many inches beside for text."""
    import matplotlib.pyplot as plt

    size = 4.6 * panels + 1 + beside, 4.2
    figure, axes = plt.subplots(
        1, panels, figsize=size, dpi=150, layout="constrained", squeeze=False
    )
    figure.suptitle(title, x=0.012, ha="left", color=INK, fontsize=12, fontweight="bold")
    for each in axes[0]:
        each.spines[:].set_visible(False)
        each.tick_params(length=0, colors=INK)
        each.grid(color=PALE, linewidth=0.8)
    return figure, axes[0]


def initial_weights(record):
    """Draw every seed's accuracy, epoch by epoch."""
    figure, axes = canvas("Thirty draws of initial weights: test accuracy (%)", 2)
    titles = {"large": "N(0, 1), the tutorial's", "default": "N(0, 1 / inputs), network2's"}
    for panel, (start, curves) in zip(axes, record["curves"].items()):
        colour = THEIRS if start == "large" else OURS
        for curve in curves:
            panel.plot(range(1, len(curve) + 1), curve, color=colour, linewidth=0.9, alpha=0.6)
        panel.set(ylim=(78, 97), xlabel="epochs")
        panel.set_title(titles[start], color=INK, fontsize=10.5)
    return figure


def overfitting(record):
    """Draw the cost and the accuracy on test digits of each remedy."""
    figure, axes = canvas("1,000 digits learnt by heart, and what helps", 2, 1.4)
    shown = {
        "nothing": {"color": THEIRS, "linewidth": 1.6, "linestyle": (0, (3, 1))},
        "better initial weights": {"color": "#0072B2", "linewidth": 1.6},
        "and patience=20": {"color": "#0072B2", "linewidth": 4, "alpha": 0.5},
        "and L2, lmbda=1": {"color": OURS, "linewidth": 1.6},
    }
    for what, style in shown.items():
        curve = record["curves"][what]
        for panel, key in zip(axes, ("test", "cost")):
            panel.plot(range(1, len(curve[key]) + 1), curve[key], label=what, **style)
        # The accuracies of three end side by side: one panel names them all.
        end = len(curve["cost"]), curve["cost"][-1]
        beside = {"textcoords": "offset points", "va": "center", "color": style["color"]}
        aside = (6, 0) if what != "and patience=20" else (6, -7)  # another goes on there
        axes[1].annotate(what, end, aside, **beside, annotation_clip=False)
    axes[0].set(ylim=(78, 90), xlabel="epochs", ylabel="test accuracy (%)")
    axes[1].set(ylim=(0.6, 2.0), xlabel="epochs", ylabel="test cost, without regularisation")
    return figure


def neurons(record):
    """Draw what was found against the number of parameters."""
    from bpnet import plot

    names = {
        "validation_accuracy": "validation accuracy, %",
        "lowest": "of the worst seed",
        "highest": "of the best",
    }
    rows = [
        {
            "hidden": [] if row["hidden"] == "none" else row["hidden"].split("-"),
            "parameters": row["parameters"],
            **{"epochs": 18, "seeds": 3, "diverged": None},
            **{name: row[key] / 100 for name, key in names.items()},
        }
        for row in record["rows"]
    ]
    smallest = list(map(str, record["smallest"]))
    return plot.search_result(rows, next(row for row in rows if row["hidden"] == smallest))


def seconds(record):
    """Draw what share of the validation digits each network misreads, second by second."""
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = canvas("What each second buys", 1, 3.4)
    # Of each its color, its line, where its name stands from its end, and how.
    styles = {
        "no hidden layer": (THEIRS, "-", (5, 0), "left"),
        "tutorial": (INK, "-", (5, 6), "left"),
        "best, not distorted": ("#0072B2", (0, (3, 1)), (-4, -9), "right"),
        "minute, not distorted": ("#009E73", (0, (3, 1)), (-6, 8), "center"),
        "best": ("#0072B2", "-", (-4, -9), "right"),
        "minute": ("#009E73", "-", (5, 0), "left"),
        "hour": (OURS, "-", (5, 0), "left"),
    }
    for name, (color, line, aside, align) in styles.items():
        times, shares = zip(*record["curves"][name])
        misread = [100 - share for share in shares]
        axes.plot(times, misread, color=color, linestyle=line, linewidth=1.5)
        axes.annotate(
            f"{name.split(', ')[-1]} {shares[-1]:.1f} %",
            (times[-1], misread[-1]),
            aside,
            textcoords="offset points",
            va="center",
            ha=align,
            color=color,
            fontsize=8.5,
            annotation_clip=False,
        )
    axes.set(xscale="log", yscale="log", ylim=(0.45, 14))
    axes.set(xlabel="seconds of training (logarithmic)")
    axes.set(ylabel="validation digits misread, % (logarithmic)")
    axes.set_yticks([0.5, 1, 2, 4, 8])
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def distortions():
    """Draw the first four digits, and five distortions of each."""
    import matplotlib.pyplot as plt
    import numpy as np

    from bpnet import distort, mnist_loader

    digits = mnist_loader.load_data()[0][0][:4].reshape(-1, 28, 28)
    columns = [digits, *(distort(digits, seed=seed) for seed in range(1, 6))]
    figure, panels = plt.subplots(4, 6, figsize=(6, 4.1), dpi=150, layout="constrained")
    for panel, image in zip(panels.T.ravel(), np.concatenate(columns)):
        panel.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_color(PALE)
    for panel in panels[:, 0]:
        panel.spines[:].set_color(OURS)
    return figure


if __name__ == "__main__":
    main()
