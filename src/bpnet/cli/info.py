"""``bpnet info``: versions, and the engine."""

import argparse
from typing import Any

import bpnet

HELP = "say which versions and which engine run"


def add(option: Any) -> None:
    """Declare nothing."""


def run(arguments: argparse.Namespace) -> None:
    """Print what runs here."""
    bpnet.show_config()
