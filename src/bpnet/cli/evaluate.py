"""``bpnet evaluate``: a saved network on held-out data, as ``bpnet train`` ends, too."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import bpnet
from bpnet import table
from bpnet.cli import examples

HELP = "say how well a saved network answers: on MNIST's test digits, or all rows of a table"


def add(option: Any) -> None:
    """Declare the options of ``bpnet evaluate``."""
    examples.data_option(option)
    model_option(option)
    examples.table_option(option)


def model_option(option: Any) -> None:
    """Declare which network."""
    option("model", metavar="MODEL", help="a network that train --save wrote")


def load_model(path: str) -> Any:
    """Return a saved network; one of a table takes rows as they are, a checkpoint's, too."""
    return table.fold(bpnet.load(path))


def run(arguments: argparse.Namespace) -> None:
    """Say how well the network answers."""
    net = load_model(arguments.model)
    like = table.of(net)
    if arguments.table is not None:
        print_result(net, *examples.whole(arguments, like, net.dtype))
        return
    parts = examples.read(arguments, 0, like=like)
    check_fit(net, parts)
    print_result(net, parts.test, parts.held_out)


def check_fit(net: Any, parts: examples.Parts) -> None:
    """Raise ValueError if net is not for the data of these parts, or the last has none."""
    n_in, n_out = parts.n_in, parts.n_out
    if not len(parts.test[0] if isinstance(parts.test, tuple) else parts.test):
        raise ValueError(f"the data must have {parts.words[1]} to test, got none")
    if net.sizes[0] != n_in or net.sizes[-1] != n_out:
        got, fitting = (
            ",".join(map(str, sizes)) for sizes in (net.sizes, [n_in, *net.sizes[1:-1], n_out])
        )
        outputs = "the numbers" if parts.numbers else "the classes"
        raise ValueError(
            f"sizes must begin with {n_in}, {parts.words[0]}, and end with {n_out}, "
            f"{outputs}, as --sizes {fitting} does, got {got}"
        )


def print_result(net: Any, found: Any, words: str) -> None:
    """Say how well net answers examples, which are called by these words.

    Of numbers y, the root mean square error, in their unit, and R^2 = 1 - sum((a - y)^2) /
    sum((y - mean(y))^2).
    """
    n = len(found[1] if isinstance(found, tuple) else found)
    if not isinstance(net, bpnet.MLP) or net.output != "squared":
        correct = net.count(found) if isinstance(net, bpnet.MLP) else net.evaluate(found)
        print(f"accuracy {100 * correct / n:.2f} %: {correct:,} of {n:,} {words} right")
        return
    error = 2 * net.cost(found) / net.sizes[-1]
    variance = float(np.var(examples.targets(found), axis=0).mean())
    explained = f"R^2 {1 - error / variance:.4f}" if variance else "R^2 of equal numbers: none"
    print(f"RMSE {error**0.5:.6g}, {explained}: {n:,} {words}")
