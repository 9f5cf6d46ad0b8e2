"""``bpnet predict``: the digits that images show."""

from __future__ import annotations

import argparse
import io
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import bpnet
from bpnet.cli.evaluate import model_option

HELP = "say which digit each image shows"


def add(option: Any) -> None:
    """Declare the options of ``bpnet predict``."""
    model_option(option)
    option(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="a PNG image of one digit, or a text file of the network's inputs, numbers from 0 "
        "to 1, a row for each prediction; -: either of them from stdin",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print a line for each image: the digit, and the activation of its neuron."""
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
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Any = Image.open(io.BytesIO(content), formats=["PNG"])
        if image.mode.startswith("I"):  # 16 bits, which convert() would clip to 8
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        paper = Image.new("RGBA", image.size, "white")
        grey = Image.alpha_composite(paper, image.convert("RGBA")).convert("L")
    except (OSError, ValueError, SyntaxError, LookupError, *bomb) as error:
        raise ValueError(f"{name} must be a whole PNG image: {error}") from None
    edge = np.asarray(grey)
    border = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
    if np.median(border) > 127:  # dark ink on light paper
        grey = ImageOps.invert(grey)
    if grey.size != (side, side):
        grey = grey.resize((side, side), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float64).ravel() / 256
