"""``bpnet export``: a saved network as an ONNX file."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from bpnet import check, onnx, table
from bpnet.cli import keep
from bpnet.cli.evaluate import load_model, model_option

HELP = "write a saved network as an ONNX file, which other programs run"


def add(option: Any) -> None:
    """Declare the options of ``bpnet export``."""
    model_option(option)
    option("file", metavar="FILE.onnx", help="the file to write, or to replace")


def run(arguments: argparse.Namespace) -> None:
    """Write the file; print what goes in and what comes out."""
    net = load_model(arguments.model)
    keep.check_other("FILE.onnx", arguments.file, arguments.model)
    if (columns := table.of(net)) is not None:
        table.check_bits(columns, np.float32)
    proto = onnx.export(net, arguments.file)
    x, *outputs = map(_described, [*proto.graph.input, *proto.graph.output])
    opset = proto.opset_import[0].version
    print(
        f"saved {check.printable(arguments.file)}: {x} -> {', '.join(outputs)}; opset {opset}"
    )


def _described(value: Any) -> str:
    """Return the name, item type and shape of an input or output."""
    tensor = value.type.tensor_type
    item = {1: "float32", 7: "int64"}[tensor.elem_type]
    shape = ", ".join(d.dim_param or str(d.dim_value) for d in tensor.shape.dim)
    return f"{value.name} {item} ({shape})"
