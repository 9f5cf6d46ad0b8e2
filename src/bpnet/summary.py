"""What a network says of itself: a line, and a table of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import check, reference

if TYPE_CHECKING:
    from bpnet.check import Array
    from bpnet.mlp import Layers

# What tells most of a history comes first.
_FIGURES = [
    f"{kind}_{figure}"
    for figure in ("accuracy", "cost")
    for kind in ("validation", "evaluation", "test", "training")
]
_HEADINGS = (
    *("layer", "neurons", "activation", "weights", "parameters", "bytes"),
    *("mean weight", "deviation"),
)


class Text(str):
    """A text that a prompt shows as ``print`` does."""

    def __repr__(self) -> str:
        """Return the text, without quotation marks."""
        return str(self)


def line(net: Layers) -> str:
    """Return what a network is and what it was trained to; never an error."""
    try:
        return f"<{_told(net)}>"
    except Exception:  # half built, or its attributes are no network's
        return object.__repr__(net)


def table(net: Layers) -> Text:
    """Return a network layer by layer, and how its training ended.

    Raises ValueError if the parameters do not fit ``sizes``.
    """
    rows = [_HEADINGS, *_rows(net)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    parts = [_told(net), "\n".join(lines), *_ended(net)]
    return Text("\n\n".join(parts))


def _told(net: Layers) -> str:
    """Return the class, the layers, the cost, whose functions answer, and the training."""
    sizes = list(net.sizes)
    layers = "-".join(map(str, sizes)) + f" {net.hidden}" * (len(sizes) > 2)
    parts = [f"{_class(type(net))} {layers}, {net.output or net._cost_class()}, {net.dtype}"]
    for step, own in net._own_answers().items():
        parts.append(f"the script's {step} {check.printable(own)}")
    return "; ".join([*parts, *_trained(_records(net))])


def _class(cls: type) -> str:
    """Return where a class of bpnet's is found, and the bare name of another."""
    module = cls.__module__
    where = "bpnet.network2." if module == "bpnet.network2" else "bpnet."
    name = cls.__qualname__.rpartition("<locals>.")[2]
    return where + name if module.startswith("bpnet.") else name


def _records(net: Layers) -> list[dict[str, Any]]:
    """Return the epochs of a history, whatever a script made of it."""
    history = net.history if isinstance(net.history, list) else []
    return [record for record in history if isinstance(record, dict)]


def _trained(records: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how many epochs there were, and to what, if there were any.

    The weights are those of the last epoch, or with patience of the best: both are said.
    """
    if not records:
        return
    said = [f"{len(records)} epoch{'s' * (len(records) != 1)}"]
    for key in _FIGURES:
        numbers = [check.real(record.get(key)) for record in records]
        found = [number for number in numbers if number is not None]
        if found:
            best = max(found) if key.endswith("accuracy") else min(found)
            said += [_figure(key, found[-1])]
            said += [f"best {_number(key, best)}"] * (best != found[-1])
            break
    yield ", ".join(said)


def _figure(key: str, number: float) -> str:
    return f"{key.replace('_', ' ')} {_number(key, number)}"


def _number(key: str, number: float) -> str:
    return f"{100 * number:.2f} %" if key.endswith("accuracy") else f"{number:.4g}"


def _rows(net: Layers) -> Iterator[tuple[str, ...]]:
    """Yield what the table says of each layer, and of all."""
    layers, (biases, weights) = check.layers(net.sizes), net._parameters()
    output, own = reference.OUTPUTS[net.output or "quadratic"][0].__name__, net._own_answers()
    if not output.isidentifier():  # z itself, without a name
        output = "identity"
    names = [net.hidden] * (len(layers) - 2) + [output]
    yield "0", f"{layers[0]:,}", *[""] * (len(_HEADINGS) - 2)
    for l, (b, w, name) in enumerate(zip(biases, weights, names), 1):
        shape = f"{w.shape[0]} x {w.shape[1]}"
        name = own.get(name, name)  # the script's sigmoid
        yield (
            *(str(l), f"{layers[l]:,}", check.printable(name), shape),
            *(f"{b.size + w.size:,}", f"{b.nbytes + w.nbytes:,}"),
            *_spread(w),
        )
    size, nbytes = (sum(getattr(p, of) for p in biases + weights) for of in ("size", "nbytes"))
    yield "all", f"{sum(layers):,}", "", "", f"{size:,}", f"{nbytes:,}", "", ""


@np.errstate(all="ignore")
def _spread(w: Array) -> tuple[str, str]:
    """Return the mean and the standard deviation of weights, which may be infinite."""
    return f"{w.mean(dtype=np.float64):.3g}", f"{w.std(dtype=np.float64):.3g}"


def _ended(net: Layers) -> Iterator[str]:
    """Yield how long training took, why it ended, and what the last epoch was."""
    records = _records(net)
    if not records:
        return
    figures = {key: check.real(records[-1].get(key)) for key in ("eta", "update", *_FIGURES)}
    said = [_figure(key, number) for key, number in figures.items() if number is not None]
    seconds = sum(check.real(record.get("seconds")) or 0.0 for record in records)
    ended = f", ended by {check.printable(net.stopped_by)}" if net.stopped_by else ""
    yield f"{len(records)} epochs in {seconds:.3g} s{ended}; the last: {', '.join(said)}"
