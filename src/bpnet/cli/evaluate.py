"""``bpnet evaluate``: a saved network on the test digits, as ``bpnet train`` ends, too."""

from __future__ import annotations

import argparse
from typing import Any

import bpnet
from bpnet import mnist_loader

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
        help="a folder with MNIST's four IDX files or mnist.pkl.gz (default: the environment "
        "variable BPNET_DATA, the cache, a download, or a sample)",
    )


def model_option(option: Any) -> None:
    """Declare which network."""
    option("model", metavar="MODEL", help="a network that train --save wrote")


def run(arguments: argparse.Namespace) -> None:
    """Say how many test digits the network classifies rightly."""
    net = bpnet.load(arguments.model)
    _, _, test = mnist_loader.load_data(arguments.data)
    check_fit(net, test[0])
    print_accuracy(net, test)


def check_fit(net: Any, images: Any) -> None:
    """Raise ValueError if net is not for these images of digits, or there are none."""
    n, inputs = images.shape
    if n == 0:
        raise ValueError("the data must have digits to test, got none")
    if net.sizes[0] != inputs or net.sizes[-1] != 10:
        raise ValueError(
            f"sizes must begin with {inputs}, the pixels of a digit, and end with 10, the "
            f"digits, got {','.join(map(str, net.sizes))}"
        )


def print_accuracy(net: Any, test: Any) -> None:
    """Say the result on the test digits."""
    correct, n = net.evaluate(test), len(test[1])
    print(f"accuracy {100 * correct / n:.2f} %: {correct} of {n} test digits")
