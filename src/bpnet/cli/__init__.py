"""The command ``bpnet``: train, evaluate and predict from a shell.

To add a subcommand, write a file like these and a row of the table: HELP is its line of help,
add(option) declares its options by calling option as add_argument, run(arguments) does it.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

import bpnet
from bpnet.cli import evaluate, info, predict, train

COMMANDS = {"train": train, "evaluate": evaluate, "predict": predict, "info": info}


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
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.HELP, description=command.HELP)
        added.set_defaults(run=command.run)
        command.add(added.add_argument)
    return parser
