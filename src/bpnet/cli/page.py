"""``bpnet page``: a saved network as a page to draw on."""

from __future__ import annotations

import argparse
import os
from typing import Any

from bpnet import check, page
from bpnet.cli import keep
from bpnet.cli.evaluate import load_model, model_option

HELP = "write a page to draw on, one HTML file in which a saved network reads what is drawn"


def add(option: Any) -> None:
    """Declare the options of ``bpnet page``."""
    model_option(option)
    option("file", metavar="FILE.html", help="the file to write, or to replace")


def run(arguments: argparse.Namespace) -> None:
    """Write the file; print its size and what it is for."""
    net = load_model(arguments.model)
    keep.check_other("FILE.html", arguments.file, arguments.model)
    page.write(net, arguments.file)
    size = os.path.getsize(arguments.file)
    print(f"saved {check.printable(arguments.file)}: {size:,} bytes; open it in a browser")
