"""A trained network as a page to draw on: one HTML file, which asks nobody for anything.

In the reader's browser it prepares a drawing as ``bpnet.pictures`` does (prepare.js), computes
what ``feedforward`` does (network.js) and shows it (page.js).  Here that is put into one file.
"""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bpnet
from bpnet import byhand, check, onnx, table
from bpnet.wholefile import write_whole

if TYPE_CHECKING:
    from bpnet.check import Array

__all__ = ["write"]

_HERE = Path(__file__).parent
_SCRIPTS = ("strings.js", "prepare.js", "network.js", "page.js")  # each uses those before it
_MOST_SIDE = 128  # the pixels of the longer side that the preparation looks at
_MOST = 2**24  # parameters: a page of 90 MB, which browsers still open


def write(net: Any, path: check.AnyPath) -> None:
    """Write a page to path on which pictures are drawn, and net reads them while they are.

    net is a ``Network`` of either chapter or an ``MLP`` that classifies squares of pixels, as
    784 inputs are.  Its classes are called 0, 1, ..., or what ``net.notes["classes"]`` lists.
    The parameters are written as float32: of 784-30-10 the page has less than 300 kB, of larger
    networks 5.4 bytes more for each parameter.  The file is replaced in one step, or kept.

    Raises TypeError if net is something else; ValueError if it is no such network, if a
    script's own feedforward or sigmoid answers for it, or if it has too many parameters;
    OSError if path cannot be written.
    """
    target = check.path("path", path)
    content = _page(_stored(net)).encode()
    write_whole(target, lambda file: file.write(content))


def _page(stored: dict[str, Any]) -> str:
    """Return the page: the template, its marks replaced in one pass: data may hold more."""
    scripts = [f"<script>\n{_asset(name)}</script>" for name in _SCRIPTS]
    parts = {
        "version": bpnet.__version__,
        "style": _asset("page.css"),
        "network": json.dumps(stored).replace("<", r"\u003c"),  # neither </script> nor <!--
        "scripts": "\n".join(scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _asset("template.html"))


def _asset(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


def _stored(net: Any) -> dict[str, Any]:
    """Return what the page keeps of a network."""
    if not isinstance(net, (bpnet.MLP, bpnet.Network, bpnet.network2.Network)):
        raise TypeError(f"net must be a network of bpnet's, got {type(net).__name__}")
    own = set() if isinstance(net, bpnet.MLP) else byhand.own_steps(net) & byhand.ANSWERS
    if own:
        raise ValueError(f"net must answer by bpnet's own {min(own)}, got the script's")
    sizes, output = check.layers(net.sizes), net.output or "quadratic"
    activation, classifies = onnx.OUTPUTS.get(output, ("", False))
    if table.of(net) is not None or not classifies:
        got = f"the output {output!r}" if not classifies else "one of a table's columns"
        raise ValueError(f"net must classify pictures, got {got}")
    _check_sizes(sizes)
    return {
        "sizes": sizes,
        "hidden": net.hidden,
        "output": activation.lower(),
        "classes": _classes(net),
        "parameters": base64.b64encode(_parameters(net, sizes)).decode(),
    }


def _check_sizes(sizes: list[int]) -> None:
    side = math.isqrt(sizes[0])
    if side * side != sizes[0] or side > _MOST_SIDE:
        raise ValueError(
            f"net must have a square of inputs, as 784, of at most {_MOST_SIDE} x "
            f"{_MOST_SIDE}, got {sizes[0]}"
        )
    if sizes[-1] < 2:
        raise ValueError(f"net must have two outputs or more, got sizes {sizes}")
    count = sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:]))
    if count > _MOST:
        raise ValueError(
            f"net must have at most {_MOST:,} parameters for a page, which holds them all, "
            f"got {count:,}: use fewer neurons"
        )


def _classes(net: Any) -> list[str] | None:
    """Return the names of the classes; None: they are called by their numbers."""
    classes = (net.notes or {}).get("classes")
    if classes is None:
        return None
    n_out = net.sizes[-1]
    if not isinstance(classes, list) or [type(name) for name in classes] != [str] * n_out:
        raise ValueError(
            f'notes["classes"] must list {n_out} names, one for each output, '
            f"got {classes!r:.60}"
        )
    return classes


def _parameters(net: Any, sizes: list[int]) -> bytes:
    """Return the biases and weights of each layer, in float32, little-endian."""
    found = check.parameters(sizes, net.biases, net.weights, np.dtype(np.float32))
    arrays: list[Array] = [array for layer in zip(*found) for array in layer]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("net must have parameters that are finite in float32")
    return b"".join(array.astype("<f4").tobytes() for array in arrays)
