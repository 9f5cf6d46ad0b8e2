"""``bpnet search``: which network, for MNIST, a table or a Dataset's file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from bpnet import check, reference, search, table
from bpnet.cli import examples, keep
from bpnet.cli.evaluate import print_result
from bpnet.cli.usage import UsageError, named, number, one_of
from bpnet.search import space

HELP = (
    "train networks of many settings, the best of them on and on, and say which to take; "
    "without options, of some numbers of neurons"
)

_SEARCHED = ("hidden", "eta", "mini_batch_size", "lmbda", "activation", "rule")
_OTHERS = ("settings", "epochs", "factor", "seeds", "seed")


def add(option: Any) -> None:
    """Declare the options of ``bpnet search``."""
    option(
        "--hidden",
        action="append",
        type=_layers,
        metavar="N,...",
        help="neurons of the hidden layers, 0 for none; may be given again: each is tried; "
        "or, of one layer, LOW:HIGH (default: 0, 10, 30, 100, 30,30 and 100,100)",
    )
    _searched(
        option,
        "eta",
        float,
        "learning rate of the first epoch (0.5; of numbers, or by another rule, less)",
    )
    _searched(option, "mini-batch-size", int, "examples in one update (10)")
    _searched(
        option, "lmbda", float, "coefficient of L2 regularisation (4e-5 for each example)"
    )
    for name, what, names in (
        ("activation", "of the hidden layers", reference.ACTIVATIONS),
        ("rule", "of a step", reference.RULES),
    ):
        option(
            f"--{name}",
            action="append",
            metavar="NAME",
            help=f"{what}; may be given again: {', '.join(names)}",
            type=one_of(list(names)),
        )
    option(
        "--settings",
        type=number(int),
        metavar="N",
        help="how many to draw (27, if there is a range)",
    )
    option(
        "--epochs",
        type=number(int),
        metavar="N",
        help="of the last rung (18; more of few examples)",
    )
    option(
        "--factor",
        type=number(int),
        metavar="N",
        help="one setting in N goes on to the next rung, which has N times the epochs (3; 1, "
        "all in full, where only --hidden differs)",
    )
    option(
        "--seeds", type=number(int), metavar="N", help="networks of each setting at the end (3)"
    )
    option("--threads", type=number(int), metavar="N", help="the most to use (all processors)")
    option("--seed", type=number(int), metavar="N", help="of all that is drawn (1)")
    option("--log", metavar="FILE", help="keep what is trained, to go on from after a failure")
    option(
        "--save", metavar="FILE", help="save the smallest network that is as good as the best"
    )
    option("--plot", metavar="FILE", help="draw what is found against the number of parameters")
    examples.data_option(option)
    examples.table_option(option)
    examples.column_options(option)


def _searched(option: Any, name: str, kind: Callable[[str], Any], text: str) -> None:
    option(
        f"--{name}",
        type=_values(kind),
        metavar="X,...",
        help=f"{text}; each of some numbers, or LOW:HIGH to draw from on a logarithmic scale",
    )


def _values(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what reads a number, some with commas between them, or a range."""

    def read(text: str) -> Any:
        try:
            if ":" in text:
                low, high = map(kind, text.split(":"))
                return (search.upto if kind is int else search.log)(low, high)
            return [kind(part) for part in text.split(",")]
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"must be a number, some with commas between them, or LOW:HIGH, got {text!r}"
                + (f": {error}" if ":" in text else "")
            ) from None

    return read


def _layers(text: str) -> Any:
    found = _values(int)(text)
    return tuple(n for n in found if n) if isinstance(found, list) else found


def run(arguments: argparse.Namespace) -> None:
    """Search, print the table, and keep the network that one should take."""
    options = _options(arguments)
    examples.check_options(arguments, None)
    if arguments.save is not None:
        keep.check_writable("--save", arguments.save)
    if arguments.plot is not None:
        keep.check_plot(arguments.plot)
    parts = examples.read(arguments, options.get("seed", 1))
    data = (_data(parts, parts.training), _data(parts, parts.validation))
    try:
        found = search.run(data, log=arguments.log, **options)
    except KeyboardInterrupt:
        how = "--log FILE lets a search go on"
        if arguments.log is not None:
            log = check.printable(arguments.log)
            how = f"{log} has what is trained: the same command goes on"
        raise KeyboardInterrupt(f"interrupted; {how}") from None
    print(found)
    net = found.smallest
    if net is None:
        raise ArithmeticError("all settings diverged: use a smaller --eta")
    if parts.table is not None:
        net.notes |= {"table": parts.table}
        table.fold(net)
    if arguments.plot is not None:
        keep.draw(found.plot(), arguments.plot)
        print(f"plotted {check.printable(arguments.plot)}")
    if arguments.save is not None:
        keep.save(net, arguments.save)
        print(f"saved {check.printable(arguments.save)}")
    if not parts.drawn:
        print_result(net, parts.test, parts.held_out)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is asked for, as arguments of search.run, which it would take."""
    asked = {name: getattr(arguments, name) for name in (*_SEARCHED, *_OTHERS)}
    asked |= {"hidden": _hidden(arguments.hidden), "n_threads": arguments.threads}
    options = {name: value for name, value in asked.items() if value is not None}
    with named(arguments.parser.names, UsageError):
        for name, value in options.items():
            space.checked(name, value)
    return options


def _hidden(given: list[Any] | None) -> Any:
    """Return what --hidden lists, or its only range."""
    ranges = [each for each in given or () if isinstance(each, search.Range)]
    if ranges and len(given or ()) > 1:
        raise UsageError("--hidden must be given once where it is a range, got more")
    return ranges[0] if ranges else given


def _data(parts: examples.Parts, part: Any) -> Any:
    """Return examples as search takes them: numbers that are desired in a column."""
    if parts.numbers and isinstance(part, tuple):
        return part[0], part[1].reshape(len(part[1]), -1)
    return part
