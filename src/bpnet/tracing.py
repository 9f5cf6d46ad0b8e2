"""One example on its way through a network and back, with everything kept to be looked at.

The steps are the book's text (``reference.Network.backprop``), in NumPy, slow and plain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bpnet.check import Array

_SHOWN, _EDGE = 64, 3  # items of an array that are all printed; of more, those at each end
_WIDTH = 21  # of the names


class Functions(NamedTuple):
    """What a network computes beside its weights: see ``reference.Network``."""

    hidden: Callable[[Array], Array]
    hidden_prime: Callable[[Array], Array]
    output: Callable[[Array], Array]
    output_error: Callable[[Array, Array, Array], Array]  # dC/dz (BP1), of z, a and y


class Trace:
    """What ``net.trace`` saw: lists of arrays, and how they print.

    zs[l] is the weighted input of weights[l] and biases[l], activations[l + 1] what becomes of
    it; activations[0] is x.  Given y: cost, deltas[l], the error dC/dz of zs[l], and the
    gradient nabla_b, nabla_w, which mirror biases and weights.  Without y these are None.
    """

    def __init__(self, sizes: list[int], x: Array):
        self.sizes = sizes
        self.activations: list[Array] = [x]
        self.zs: list[Array] = []
        self.y: Array | None = None
        self.cost: float | None = None
        self.deltas: list[Array] | None = None
        self.nabla_b: list[Array] | None = None
        self.nabla_w: list[Array] | None = None

    def __repr__(self) -> str:
        """Show every number on the way forward, then back; of long arrays the ends."""
        lines = ["-".join(map(str, self.sizes)) + ", forward"]
        lines += _line("activations[0] = x", self.activations[0])
        for l, (z, a) in enumerate(zip(self.zs, self.activations[1:])):
            lines += _line(f"zs[{l}]", z) + _line(f"activations[{l + 1}]", a)
        if self.deltas is None or self.nabla_w is None or self.y is None:
            return "\n".join(lines)
        lines += _line("y", self.y)
        cost = "unknown" if self.cost is None else f"{self.cost:.6g}"
        lines += [f"{'cost':{_WIDTH}}{cost}", "backward"]
        for l in reversed(range(len(self.zs))):
            lines += _line(f"deltas[{l}] = nabla_b", self.deltas[l])
            lines += _line(f"nabla_w[{l}]", self.nabla_w[l])
        return "\n".join(lines)


def follow(
    sizes: list[int],
    biases: list[Array],
    weights: list[Array],
    functions: Functions,
    x: Array,
    y: Array | None,
) -> Trace:
    """Return what becomes of the column x, and given y of the error; all but the cost."""
    f, seen = functions, Trace(sizes, x)
    zs, activations = seen.zs, seen.activations
    with np.errstate(over="ignore", under="ignore"):
        for l, (b, w) in enumerate(zip(biases, weights)):
            zs.append(w.dot(activations[l]) + b)
            activations.append((f.hidden if l < len(weights) - 1 else f.output)(zs[l]))
        if y is None:
            return seen
        deltas = [f.output_error(zs[-1], activations[-1], y)]  # BP1
        for l in range(len(weights) - 1, 0, -1):
            deltas.insert(0, weights[l].T.dot(deltas[0]) * f.hidden_prime(zs[l - 1]))  # BP2
        seen.y, seen.deltas = y, deltas
        seen.nabla_b = [delta.copy() for delta in deltas]  # BP3
        seen.nabla_w = [delta.dot(a.T) for delta, a in zip(deltas, activations)]  # BP4
    return seen


def _line(name: str, array: Array) -> list[str]:
    """Return an array, a column lying down, in lines that begin with its name."""
    shown: Any = array.ravel() if array.shape[1] == 1 else array
    text = np.array2string(
        shown,
        max_line_width=96 - _WIDTH,
        threshold=_SHOWN,
        edgeitems=_EDGE,
        formatter={"float_kind": lambda item: f"{item:.6g}"},
    )
    if array.size > _SHOWN:
        text += f"  {array.shape}"
    indented = text.replace("\n", "\n" + " " * _WIDTH)
    return [f"{name:{_WIDTH}}{indented}"]
