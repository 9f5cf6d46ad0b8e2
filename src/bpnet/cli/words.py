"""What ``bpnet train`` says of a run, in words: what is trained on what, and how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bpnet import check
from bpnet.cli.examples import Parts


def count(part: Any) -> int:
    """Return how many examples a part has, a pair (X, Y) or a Dataset."""
    return len(part[1]) if isinstance(part, tuple) else len(part)


def beginning(net: Any, settings: dict[str, Any], parts: Parts) -> list[str]:
    """Return what is trained, on what and how."""
    lines = [f"Data: {_data(parts, settings)}", f"Network: {_network(net, settings)}"]
    lines += [f"Epochs: {_training(settings)}", f"Cost: {_cost(settings)}"]
    if parts.table is not None:
        classes = parts.table["classes"]
        values = "numbers" if classes is None else ", ".join(classes)
        lines.append(f"Target: {parts.table['target']}: {values:.200}")
    return [check.printable(line) for line in lines]


def _data(parts: Parts, settings: dict[str, Any]) -> str:
    n, held_out, what = count(parts.training), count(parts.validation), parts.words[1]
    if settings["distort"]:
        what += " to train on, distorted"
    else:
        what += " to train on"
    if parts.drawn:
        return f"{n:,} {what}, {held_out:,} held out, drawn by the seed"
    tested = count(parts.test)
    return f"{n:,} {what}, {held_out:,} to validate, {tested:,} to test"


def _network(net: Any, settings: dict[str, Any]) -> str:
    n_in, *hidden, n_out = net.sizes
    activation = settings["activation"]
    kind = "hidden neurons" if activation == "sigmoid" else activation
    between = f"{' + '.join(map(str, hidden))} {kind}" if hidden else "no hidden layer"
    outputs = f"{n_out} output{'s' * (n_out != 1)}"
    return f"{n_in} inputs, {between}, {outputs}; {net.dtype}, seed {settings['seed']}"


def _training(settings: dict[str, Any]) -> str:
    line = (
        f"{settings['epochs']}, mini-batches of {settings['mini_batch_size']}, "
        f"learning rate {settings['eta']:g}"
    )
    for word, shown in (
        (" falling to 0", settings["decay"]),
        (f", by {settings['rule']}", settings["rule"] != "plain"),
        (f", momentum {settings['mu']:g}", settings["mu"]),
    ):
        line += word if shown else ""
    return line


def _cost(settings: dict[str, Any]) -> str:
    lmbda = settings["lmbda"]
    return settings["cost"] + (f", with L2 regularisation, lmbda {lmbda:g}" if lmbda else "")


def epochs(n_epochs: int, parts: Parts) -> Callable[[dict[str, Any]], str]:
    """Return what makes a line of an epoch's record: which examples it counts, and how."""
    n, of = count(parts.validation), parts.held_out
    what = of if parts.drawn else f"validation {parts.words[1]}"
    wide, wider = len(str(max(n_epochs - 1, 0))), len(f"{n:,}")

    def line(record: dict[str, Any]) -> str:
        said = f"Epoch {record['epoch']:{wide}}: "
        if "validation_accuracy" in record:
            right = round(record["validation_accuracy"] * n)
            said += f"{right:{wider},} of {n:,} {what} right"
            if "validation_cost" in record:
                said += f", cost {record['validation_cost']:.3g}"
        else:
            said += f"cost {record['validation_cost']:<9.4g} on {n:,} {what}"
        if "training_cost" in record:
            said += f", training {record['training_cost']:.3g}"
        return said

    return line
