"""The command ``bpnet``: train, evaluate, predict and export from a shell.

To add a subcommand, write a file like these and a row of the table: HELP is its line of help,
add(option) declares its options by calling option as add_argument, run(arguments) does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import bpnet
from bpnet import check
from bpnet.cli import evaluate, export, info, pack, page, predict, search, train
from bpnet.cli.output import flushed, prepare, say

COMMANDS = {
    "train": train,
    "search": search,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "page": page,
    "pack": pack,
    "info": info,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: done; 1: a failure, said in one line on stderr, or output that nobody got; 2: wrong
    usage; 130: Ctrl-C.
    """
    try:
        status = _status(argv)
    except SystemExit as ended:  # help, or what is wrong, is printed
        raise SystemExit(flushed(int(ended.code or 0))) from None
    return flushed(status)


def _status(argv: Sequence[str] | None) -> int:
    try:
        prepare()
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read the output has enough
        return 1
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError) as error:
        say(f"error: {str(error) or type(error).__name__}")
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, one of which may hold anything."""
        super().error(check.printable(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write message; help that is lost is no success, which argparse takes it for."""
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif message and file is not None:
            file.write(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bpnet",
        description="Train and use the backpropagation tutorial's network, for digits and for "
        "tables of your own.",
    )
    parser.add_argument("--version", action="version", version=f"bpnet {bpnet.__version__}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.HELP, description=command.HELP)
        added.set_defaults(run=command.run)
        command.add(added.add_argument)
    return parser
