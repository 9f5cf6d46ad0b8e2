"""The command ``bpnet``: train, evaluate and predict from a shell."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bpnet
from bpnet import cli_train, mnist_loader

_MODEL_HELP = "a network that train --save wrote"
_DATA_HELP = (
    "a folder with MNIST's four IDX files or mnist.pkl.gz (default: the environment variable "
    "BPNET_DATA, the cache, a download, or a sample)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: done; 1: a failure, said in one line on stderr; 2: wrong usage; 130: Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # a pipe sees each epoch as it ends
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("bpnet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough.  Python must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError) as error:
        reason = " ".join(str(error).splitlines()) or type(error).__name__
        print(f"bpnet: error: {reason}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bpnet",
        description="Train and use the backpropagation tutorial's network for digits.",
    )
    parser.add_argument("--version", action="version", version=f"bpnet {bpnet.__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> Any:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added.add_argument

    presets = "train on MNIST; without options, the tutorial's job from better initial weights"
    cli_train.add_options(command("train", cli_train.train, presets), _DATA_HELP)

    option = command("evaluate", _evaluate, "count the test digits that a saved network reads")
    option("--data", metavar="PATH", help=_DATA_HELP)
    option("model", metavar="MODEL", help=_MODEL_HELP)

    option = command("predict", _predict, "say which digit each image shows")
    option("model", metavar="MODEL", help=_MODEL_HELP)
    option(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a PNG image of one digit, or a text file of the network's inputs, numbers from 0 "
        "to 1, a row for each prediction; -: either of them from stdin",
    )
    command("info", lambda _: bpnet.show_config(), "say which versions and which engine run")
    return parser


def _evaluate(arguments: argparse.Namespace) -> None:
    net = bpnet.load(arguments.model)
    _, _, test = mnist_loader.load_data(arguments.data)
    cli_train.check_fit(net, test[0])
    cli_train.print_accuracy(net.evaluate(test), len(test[1]))


def _predict(arguments: argparse.Namespace) -> None:
    net = bpnet.load(arguments.model)
    for name in arguments.images:
        for x in _inputs(name, net.sizes[0]):
            output = net.feedforward(x[:, None])[:, 0]
            label = int(np.argmax(output))
            print(f"{name}: {label}  ({output[label]:.3f})")


def _inputs(name: str, n: int) -> list[Any]:
    """Return the inputs in an image, or in the rows of a text file."""
    # Read once: it may be a pipe.
    content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return [_pixels(name, content, n)]
    try:
        lines = content.decode("utf-8-sig").replace(",", " ").splitlines()
        found = [np.array(line.split(), dtype=np.float64) for line in lines if line.strip()]
    except ValueError:
        raise ValueError(f"{name} must be a PNG image or rows of numbers") from None
    if not found or any(len(row) != n for row in found):
        raise ValueError(
            f"{name} must have {n} numbers in each row, "
            f"got {', '.join(str(len(row)) for row in found) or 'none'}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must have finite numbers")
    return found


def _pixels(name: str, content: bytes, n: int) -> Any:
    """Return a PNG's pixels as the loader would: white ink on black, byte / 256, (n,)."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError('a PNG needs Pillow: pip install "bpnet[image]"') from None
    side = math.isqrt(n)
    if side * side != n:
        raise ValueError(f"an image needs a network with a square of inputs, got {n}")
    bomb = Image.DecompressionBombError, Image.DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Any = Image.open(io.BytesIO(content), formats=["PNG"])
        if image.mode.startswith("I"):  # 16 bits, which convert() would clip to 8
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        paper = Image.new("RGBA", image.size, "white")
        grey = Image.alpha_composite(paper, image.convert("RGBA")).convert("L")
    except (OSError, ValueError, SyntaxError, *bomb) as error:
        raise ValueError(f"{name} must be a whole PNG image: {error}") from None
    edge = np.asarray(grey)
    border = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
    if np.median(border) > 127:  # dark ink on light paper
        grey = ImageOps.invert(grey)
    if grey.size != (side, side):
        grey = grey.resize((side, side), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float64).ravel() / 256
