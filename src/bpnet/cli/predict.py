"""``bpnet predict``: the digits that pictures show."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import bpnet
from bpnet import check, pictures, table
from bpnet.cli.evaluate import load_model, model_option

HELP = "say which digit each picture shows, or what a network of a table answers to rows"

_MOST = 64 << 20  # bytes of a file: what has no end, as /dev/zero, must end here


def add(option: Any) -> None:
    """Declare the options of ``bpnet predict``."""
    model_option(option)
    option(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a picture of one digit (PNG, JPEG, BMP, GIF, WebP or TIFF), which is made as "
        "MNIST's digits were, or a text file of the network's inputs as they are, numbers from "
        "0 to 1, a row for each prediction; of a network of a table, a CSV file with columns "
        "of the same names; -: any of them from stdin",
    )
    option("--show", action="store_true", help="draw what the network is given, as text")


def run(arguments: argparse.Namespace) -> None:
    """Print a line for each image: the digit, and the activation of its neuron."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong is said once
    net = load_model(arguments.model)
    if (columns := table.of(net)) is not None:
        if arguments.show:
            raise ValueError("--show draws digits, and MODEL is a network of a table")
        for name in arguments.images:
            _answer_table(net, columns, name)
        return
    side = _side(net.sizes[0], "--show") if arguments.show else 0
    for name in arguments.images:
        for x in _inputs(name, net.sizes[0]):
            output = _output(net, x)
            label = int(np.argmax(output))
            if side:
                print(pictures.drawing(x.reshape(side, side)))
            print(f"{check.printable(name)}: {label}  ({output[label]:.3f})")


def _answer_table(net: Any, columns: dict[str, Any], name: str) -> None:
    """Print a line for each row: the class and its activation, or the number."""
    source = Path(name) if os.path.isfile(name) else _read(name)
    rows = table.read_like(source, name, columns, target=False)
    outputs, classes = net.predictor()(rows.x), columns["classes"]
    for output in outputs:
        if classes is None:
            print(repr(float(output[0])))
        else:
            label = int(np.argmax(output))
            print(f"{check.printable(classes[label])}  ({output[label]:.3f})")


def _output(net: Any, x: Any) -> Any:
    """Return what a network of any of the three classes answers, (n_out,)."""
    if isinstance(net, bpnet.MLP):
        return net.predict(x[None, :])[0]
    return net.feedforward(x[:, None])[:, 0]


def _inputs(name: str, n: int) -> list[Any]:
    """Return the inputs in a picture, or in the rows of a text file."""
    content = _read(name)
    if pictures.is_picture(content):
        return [pictures.digit(content, _side(n, "a picture"), name).ravel()]
    try:
        lines = content.decode("utf-8-sig").replace(",", " ").splitlines()
        found = [np.array(line.split(), dtype=np.float64) for line in lines if line.strip()]
    except ValueError:
        raise ValueError(
            f"{name} must be a PNG, JPEG, BMP, GIF, WebP or TIFF picture, or rows of numbers"
        ) from None
    if not found or any(len(row) != n for row in found):
        raise ValueError(
            f"{name} must have {n} numbers in each row, "
            f"got {', '.join(str(len(row)) for row in found) or 'none'}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must have finite numbers")
    return found


def _read(name: str) -> bytes:
    """Return what is in a file, or in stdin, once: it may be a pipe."""
    if name == "-":
        if sys.stdin is None:
            raise ValueError("- must be a picture or rows of numbers from stdin, got none")
        content = sys.stdin.buffer.read(_MOST + 1)
    elif os.path.isdir(name):
        raise ValueError(f"{name} must be a file, got a folder")
    else:
        with open(name, "rb") as file:
            content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise ValueError(f"{name} must have at most {_MOST >> 20} MiB, got more")
    return content


def _side(n: int, what: str) -> int:
    """Return the side of the square that n inputs are."""
    side = math.isqrt(n)
    if side * side != n:
        raise ValueError(f"{what} needs a network with a square of inputs, got {n}")
    return side
