"""The command ``bpnet``: train, evaluate, predict and export from a shell.

To add a subcommand, write a file like these and a row of the table: HELP is its line of help,
add(option) declares its options by calling option as add_argument (group= is the heading that
one stands under), run(arguments) does it.  DESCRIPTION and EXAMPLES, if there are any, stand
above and below its options.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import bpnet
from bpnet import check
from bpnet.cli import evaluate, export, info, pack, page, predict, search, train
from bpnet.cli.output import flushed, prepare, say
from bpnet.cli.usage import Parser, UsageError, as_typed

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

_EXAMPLES = """\
examples:
  bpnet train --save digits.npz          learn MNIST's digits, keep the network
  bpnet predict digits.npz picture.png   say which digit a picture shows
  bpnet train iris.csv --save iris.npz   learn a table of your own

bpnet COMMAND --help says more of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: done; 1: a failure, said in one line on stderr, or output that nobody got; 2: wrong
    usage; 130: Ctrl-C.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            status = _status(argv)
    except SystemExit as ended:  # help is printed
        raise SystemExit(flushed(int(ended.code or 0))) from None
    return flushed(status)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Say what the library warns of, in a line, without the place in the code."""
    say(f"warning: {message}")


def _status(argv: Sequence[str] | None) -> int:
    names: dict[str, str] = {}
    try:
        prepare()
        arguments = _parser().parse_args(argv)
        names = arguments.parser.names
        arguments.run(arguments)
    except KeyboardInterrupt as ended:
        for line in ended.args or ("interrupted",):
            say(line)
        return 130
    except BrokenPipeError:  # whoever read the output has enough
        return 1
    except UsageError as error:
        for line in (f"error: {error.args[0]}", *error.args[1:]):
            say(line)
        return 2
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError, MemoryError) as error:
        say(f"error: {as_typed(_said(error), names)}")
        return 1
    return 0


def _said(error: Exception) -> str:
    """Return a failure in a sentence, which names a file as it was typed."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        if isinstance(error, FileNotFoundError):
            return f"there is no file {check.printable(error.filename)}"
        return f"{check.printable(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


def _parser() -> Parser:
    parser = Parser(
        prog="bpnet",
        description="Train and use the backpropagation tutorial's network, for digits and for "
        "tables\nof your own.",
        epilog=_EXAMPLES,
    )
    version = f"bpnet {bpnet.__version__}"
    parser.option("--version", action="version", version=version, help="say which this is")
    parser.set_defaults(run=lambda _: parser.print_help(), parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        about = textwrap.fill(getattr(command, "DESCRIPTION", command.HELP), 79)
        epilog = getattr(command, "EXAMPLES", None)
        added = commands.add_parser(name, help=command.HELP, description=about, epilog=epilog)
        added.set_defaults(run=command.run, parser=added)
        command.add(added.option)
        added.usage = added.short_usage()
        parser.commands[name] = added
    return parser
