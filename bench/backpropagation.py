"""What goes forward and what comes back in the network of docs/backpropagation.md?

Draws docs/backpropagation.png from ``net.trace`` by matplotlib; nothing is measured here.
"""

import pathlib

import numpy as np
from harness import can_draw

import bpnet

TOP = pathlib.Path(__file__).resolve().parents[1]
FORWARD, BACKWARD, INK, PALE = "#2F6DB5", "#D55E00", "#22303C", "#F3F5F7"
AT = [[(0, 2), (0, 0)], [(2.6, 2), (2.6, 0)], [(5.2, 1)]]  # the neurons, layer by layer


def main():
    if not can_draw():
        return
    net = bpnet.Network([2, 2, 1])
    net.weights = [np.array([[0.5, -0.4], [0.3, 0.8]]), np.array([[0.7, -0.6]])]
    net.biases = [np.array([[0.1], [0.2]]), np.array([[0.2]])]
    path = TOP / "docs" / "backpropagation.png"
    draw(net, net.trace([[1.0], [0.5]], [[1.0]])).savefig(path, facecolor="white")
    print(path)


def draw(net, seen):
    """Return a figure: on an edge its weight and derivative, in a neuron z, a and delta."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9.6, 4.4), dpi=150, layout="constrained")
    axes.set(xlim=(-0.6, 6.9), ylim=(-0.75, 2.75), aspect="equal")
    axes.axis("off")
    for l, weights in enumerate(net.weights):
        for (j, k), w in np.ndenumerate(weights):
            edge(axes, AT[l][k], AT[l + 1][j], w, seen.nabla_w[l][j, k])
    for k, x in enumerate(seen.activations[0][:, 0]):
        neuron(axes, AT[0][k], f"x{k + 1} = {x:g}", "")
    for l, (z, a, delta) in enumerate(zip(seen.zs, seen.activations[1:], seen.deltas)):
        for j, at in enumerate(AT[l + 1]):
            said = f"b {net.biases[l][j, 0]:g}\nz {z[j, 0]:.4f}\na {a[j, 0]:.4f}"
            neuron(axes, at, said, f"delta {delta[j, 0]:.4f}")
    axes.text(6.0, 1, f"y = {seen.y[0, 0]:g}\nC = {seen.cost:.4f}", va="center", color=INK)
    axes.text(4.2, 2.55, "forward: w, b, z, a", color=FORWARD, fontsize=11)
    axes.text(4.2, 2.3, "back: delta = dC/dz = dC/db, dC/dw", color=BACKWARD, fontsize=11)
    return figure


def neuron(axes, at, forward, backward):
    """Draw a neuron and what is known of it."""
    import matplotlib.pyplot as plt

    axes.add_patch(plt.Circle(at, 0.5, facecolor=PALE, edgecolor=INK, zorder=2))
    up = 0.1 if backward else 0
    axes.text(at[0], at[1] + up, forward, ha="center", va="center", color=FORWARD, fontsize=9)
    axes.text(
        at[0], at[1] - 0.32, backward, ha="center", va="center", color=BACKWARD, fontsize=7.5
    )


def edge(axes, begin, end, weight, nabla):
    """Draw a connection, its weight before its middle and its derivative behind."""
    (x, y), (to_x, to_y) = begin, end
    axes.plot([x, to_x], [y, to_y], color="#A9B4BE", linewidth=1.2, zorder=1)
    angle = float(np.degrees(np.arctan2(to_y - y, to_x - x)))
    for share, said, colour in (
        (0.34, f"{weight:g}", FORWARD),
        (0.66, f"{nabla:.4f}", BACKWARD),
    ):
        axes.text(
            x + share * (to_x - x),
            y + share * (to_y - y),
            said,
            color=colour,
            fontsize=9,
            ha="center",
            va="center",
            rotation=angle,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )


if __name__ == "__main__":
    main()
