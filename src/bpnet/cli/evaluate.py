"""``bpnet evaluate``: a saved network on the test digits, as ``bpnet train`` ends, too."""

from __future__ import annotations

import argparse
from typing import Any

import bpnet
from bpnet import mnist_loader
from bpnet.mnist import pictures

HELP = "count the test digits that a saved network classifies rightly"


def add(option: Any) -> None:
    """Declare the options of ``bpnet evaluate``."""
    data_option(option)
    model_option(option)


def data_option(option: Any) -> None:
    """Declare where MNIST is."""
    option(
        "--data",
        metavar="PATH",
        help="a folder with MNIST's four IDX files, mnist.pkl.gz or another data set, or a "
        "file of one (default: the environment variable BPNET_DATA, the cache, a download or "
        "a sample)",
    )


def model_option(option: Any) -> None:
    """Declare which network."""
    option("model", metavar="MODEL", help="a network that train --save wrote")


def run(arguments: argparse.Namespace) -> None:
    """Say how many test digits the network classifies rightly."""
    net = bpnet.load(arguments.model)
    parts = mnist_loader.load_data(arguments.data)
    check_fit(net, *parts)
    print_accuracy(net, parts[-1])


def check_fit(net: Any, *parts: Any) -> None:
    """Raise ValueError if net is not for the data of these parts, or the last has none."""
    n, inputs = parts[-1][0].shape
    if n == 0:
        raise ValueError("the data must have digits to test, got none")
    classes = pictures.count_classes(*parts)
    if net.sizes[0] != inputs or net.sizes[-1] != classes:
        got, fitting = (
            ",".join(map(str, sizes))
            for sizes in (net.sizes, [inputs, *net.sizes[1:-1], classes])
        )
        raise ValueError(
            f"sizes must begin with {inputs}, the pixels of a digit, and end with {classes}, "
            f"the classes, as --sizes {fitting} does, got {got}"
        )


def print_accuracy(net: Any, test: Any) -> None:
    """Say the result on the test digits."""
    count = net.count if isinstance(net, bpnet.MLP) else net.evaluate
    correct, n = count(test), len(test[1])
    print(f"accuracy {100 * correct / n:.2f} %: {correct} of {n} test digits")
