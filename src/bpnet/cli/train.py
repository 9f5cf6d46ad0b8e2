"""``bpnet train``: presets, options that change them, runs that go on where they stopped."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import math
import random
import sys
import textwrap
from typing import Any

import numpy as np

import bpnet
from bpnet import check, network2, reference, table
from bpnet.cli import examples, keep, usage, words
from bpnet.cli.evaluate import check_fit, print_result
from bpnet.cli.interrupts import Interrupts
from bpnet.cli.usage import UsageError

HELP = "train a network, on MNIST's digits or on a table of your own"
DESCRIPTION = (
    "Train a network. Without TABLE it learns MNIST's digits, as in the tutorial, but for "
    "better initial weights; with one, to tell its last column from the others: names of "
    "classes, or numbers."
)

_COSTS = {"quadratic": network2.QuadraticCost, "cross-entropy": network2.CrossEntropyCost}
_SQUARED = "squared"  # the cost where numbers are desired

# Each setting is an option; what is not here is off.
_TUTORIAL: dict[str, Any] = {  # its job, but for its initial weights, which can lose digits
    "sizes": [784, 30, 10],
    "activation": "sigmoid",
    "epochs": 30,
    "mini_batch_size": 10,
    "eta": 3.0,
    "rule": "plain",
    "decay": False,
    "cost": "quadratic",
    "initial_weights": "default",
    "lmbda": 0.0,
    "mu": 0.0,
    "distort": 0.0,
    "dtype": "float64",
    "threads": 1,
}
_BEST = {  # chosen by the validation digits, as are minute and hour (docs/a-minute.md)
    **_TUTORIAL,
    "sizes": [784, 200, 10],
    "epochs": 10,
    "eta": 0.5,
    "decay": True,
    "cost": "cross-entropy",
    "lmbda": 2.0,  # for rows that are not distorted: digits are as good without
    "distort": 0.7,
    "dtype": "float32",
    "threads": 2,
}
_MINUTE = {
    **_BEST,
    "sizes": [784, 800, 10],
    "activation": "relu",
    "epochs": 50,
    "eta": 0.1,
    "lmbda": 0.0,
    "distort": 1.0,
}
_HOUR = {
    **_MINUTE,
    "sizes": [784, 1000, 500, 10],
    "epochs": 900,
    "mini_batch_size": 50,
    "mu": 0.9,
}
PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": _TUTORIAL,
    "best": _BEST,
    "minute": _MINUTE,
    "hour": _HOUR,
    "table": {  # where TABLE is given: Adam's steps suit any number of columns
        **_TUTORIAL,
        "sizes": [0, 30, 0],  # the first and the last are the table's
        "eta": 0.01,
        "rule": "adam",
        "decay": True,
        "cost": "cross-entropy",
        "lmbda": 1.0,
    },
}

# Those that help shows in a table; of hour it says in what it differs.
_COLUMNS = {name: settings for name, settings in PRESETS.items() if name != "hour"}

# What --distort multiplies, and the most that keeps a turn at 90 degrees or less.
_DISTORTIONS = {
    name: inspect.signature(bpnet.distort).parameters[name].default
    for name in ("rotation", "scale", "shear", "displacement")
}
_MOST_DISTORTED = 9

_NUMBERS = ((int, "N"), (float, "X"))
_KEEPERS = ("save", "plot", "checkpoint", "resume")  # options that say where a result goes
_CHOICES = {
    "cost": [*_COSTS, _SQUARED],
    "activation": list(reference.ACTIVATIONS),
    "rule": list(reference.RULES),
    "initial_weights": ["default", "large"],
    "dtype": ["float64", "float32"],
}


def add(option: Any) -> None:
    """Declare the options of ``bpnet train``."""

    def setting(name: str, text: str, **form: Any) -> None:
        values = {_shown(settings[name]) for settings in _COLUMNS.values()}
        if len(values) == 1:
            usual = values.pop()
            see = "" if _shown(_HOUR[name]) == usual else "; see hour"
            text += f" (default: {usual}{see})"
        if name in _CHOICES:
            form |= {"type": usage.one_of(_CHOICES[name])}
        option("--" + name.replace("_", "-"), help=text, group=of, **form)

    integer, real = ({"type": usage.number(kind), "metavar": word} for kind, word in _NUMBERS)
    examples.table_option(option, "data")
    examples.data_option(option, "data")
    examples.column_options(option, "data")
    of = "the network"
    setting("sizes", "neurons of each layer, inputs first", type=_sizes, metavar="N,N,...")
    option(
        "--hidden",
        type=_sizes,
        metavar="N,...",
        help="neurons of the hidden layers alone, in the place of --sizes: the first and the "
        "last are what the data needs",
        group=of,
    )
    names = ", ".join(_CHOICES["activation"])
    setting("activation", f"of hidden neurons: {names}", metavar="NAME")
    setting("initial_weights", "N(0, 1 / inputs), or large, N(0, 1)", metavar="NAME")
    setting("dtype", "float64 or float32: numbers to compute with", metavar="NAME")
    of = "training"
    option(
        "--preset",
        type=usage.one_of(list(PRESETS)),
        metavar="NAME",
        help="where the settings come from, see below: tutorial, best, minute, hour or table "
        "(default: table where there is one, else tutorial)",
        group=of,
    )
    setting("epochs", "passes over the training data", **integer)
    setting("mini_batch_size", "examples in one update", **integer)
    setting("eta", "learning rate", **real)
    flag = {"action": argparse.BooleanOptionalAction}
    setting("decay", "let the learning rate fall to 0 in a straight line", **flag)
    setting("rule", f"how to step: {', '.join(_CHOICES['rule'])}", metavar="NAME")
    setting("mu", "momentum", **real)
    costs = ", ".join(_COSTS)
    setting("cost", f"what becomes small: {costs}, or, of numbers, squared", metavar="NAME")
    setting("lmbda", "L2 regularisation, its coefficient", **real)
    text = (
        "learn other shapes of each digit in each epoch: 1 as bpnet.distort makes them, 0 none"
    )
    setting("distort", text, **real)
    setting("threads", "the most to use", **integer)
    text = "of weights and shuffles (default: a new one)"
    option("--seed", help=text, group=of, **integer)
    of = "when to stop, the first that holds"
    text = "after N epochs without a better one on the validation data; the best is kept"
    option("--patience", help=text, group=of, **integer)
    text = "below this share of validation data misclassified, or, of numbers, this cost"
    option("--max-error", help=text, group=of, **real)
    option("--min-update", help="below this relative change of weights", group=of, **real)
    option("--max-seconds", help="after the epoch that ends later", group=of, **real)
    of = "files"
    file = {"metavar": "FILE", "group": of}
    option("--save", help="keep the network, also after Ctrl-C or a failure", **file)
    option("--plot", help="draw costs and accuracies, epoch by epoch", **file)
    option("--checkpoint", help="keep the run, so that it can go on", **file)
    option("--resume", help="go on with the run in a checkpoint, with its settings", **file)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(str(n or "...") for n in value)
    return str(value)


def _sizes(text: str) -> list[Any]:
    return [usage.number(int)(n) for n in text.split(",")]


def _presets() -> str:
    """Return in what the presets differ, as a table."""
    rows = [["presets:", *_COLUMNS]]
    for name in _TUTORIAL:
        values = [_shown(settings[name]) for settings in _COLUMNS.values()]
        if len({*values}) > 1:
            rows.append([f"  --{name.replace('_', '-')}", *values])
    more = (  # an option and its value are not parted
        f"--{name.replace('_', '-')}\N{NO-BREAK SPACE}{_shown(value)}"
        for name, value in _HOUR.items()
        if value != _MINUTE[name]
    )
    lines = ["{:20}{:11}{:15}{:15}{}".format(*row) for row in rows]
    hour = textwrap.fill(
        f"hour is minute with {' '.join(more)}", 78, initial_indent="  ", subsequent_indent="  "
    )
    return "\n".join([*lines, hour.replace("\N{NO-BREAK SPACE}", " ")])


EXAMPLES = f"""\
{_presets()}

examples:
  bpnet train --save digits.npz                 the tutorial's network, kept
  bpnet train --preset best --hidden 100        the best settings, 100 neurons
  bpnet train iris.csv --save iris.npz          a table of your own"""


def run(arguments: argparse.Namespace) -> None:
    """Train, saying how it goes on the validation data, then test."""
    if arguments.hidden is not None and arguments.sizes is not None:
        raise UsageError("--hidden and --sizes both list neurons: use one of them")
    resumed = None if arguments.resume is None else bpnet.load(arguments.resume)
    settings = _settings(arguments, resumed)
    like = None if resumed is None else table.of(resumed)
    examples.check_options(arguments, like)
    with usage.named(arguments.parser.names, None if resumed else UsageError):
        _check(settings, arguments)
    if arguments.save is not None:
        keep.check_writable("--save", arguments.save)
    if arguments.plot is not None:
        keep.check_plot(arguments.plot)
    chosen = (arguments.dtype, arguments.preset, arguments.resume) != (None, None, None)
    dtype = settings["dtype"] if chosen else None
    parts = examples.read(arguments, settings["seed"], dtype, like)
    settings = _fitting(settings, arguments, parts)
    net = new_network(settings)
    net.notes = settings | ({} if parts.table is None else {"table": parts.table})
    check_fit(net, parts)
    training, validation = parts.training, parts.validation
    if settings["distort"]:
        if parts.table is not None:
            raise ValueError("--distort is for images, and TABLE is a table: --distort 0")
        training = distorted(training, settings)
    kept = any(getattr(arguments, option) is not None for option in _KEEPERS)
    with contextlib.suppress(*[OSError] if kept else []):  # a line lost is no run lost
        for line in words.beginning(net, settings, parts):
            print(line)
    keywords = _keywords(arguments) | {
        "callback": None if kept else _flush,
        "verbose": words.epochs(settings["epochs"], parts),
    }
    ended: BaseException | None = None
    before = net.history
    with Interrupts() as interrupts:
        try:
            sgd(net, settings, training, validation, **keywords)
            interrupts.hold()
        except (KeyboardInterrupt, Exception) as error:
            interrupts.hold()
            if isinstance(error, Exception) and not net.history:
                raise  # nothing is trained
            ended = error  # the weights are those of a whole number of mini-batches
        table.fold(net)
        done, failed = _keep(net, arguments, whole=ended is None)
    begun = net.history is not before  # the run has its own, once there is a checkpoint
    if isinstance(ended, KeyboardInterrupt) and begun and net.stopped_by is None:
        ended = KeyboardInterrupt(*_interrupted(net, arguments, settings))
    elif interrupts.came and ended is None:
        ended = KeyboardInterrupt()
    _tell(net, parts, done, failed, ended)
    if ended is None and not failed and sys.stdout is not None and sys.stdout.isatty():
        print(_hint(arguments, settings))


def _check(settings: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Raise what the library raises of these settings: it is asked, on one example.

    What is known of the data later is not looked at.  The command takes no eta below 0.
    """
    if check.not_negative("distort", settings["distort"]) > _MOST_DISTORTED:
        raise ValueError(
            f"distort must be at most {_MOST_DISTORTED}, got {settings['distort']}"
        )
    sizes = settings["sizes"]
    if arguments.hidden is not None:
        with usage.named({"sizes": "--hidden"}, UsageError):
            check.layers([1, *arguments.hidden, 1])
    elif arguments.sizes is not None or sizes[0]:
        check.check_memory(check.layers(sizes))
    check.not_negative("eta", settings["eta"])
    asked = {
        **_keywords(arguments),
        **{"checkpoint": None, "resume": None, "verbose": False},
        "callback": lambda *_: True,  # after one epoch
    }
    classes = settings["cost"] != _SQUARED
    known = not classes or arguments.table is None or arguments.cost is not None
    of_classes = asked if classes and known else {**asked, "max_error": None}
    _try({**settings, "cost": settings["cost"] if classes else "quadratic"}, of_classes)
    if not (classes and known):
        _try({**settings, "cost": _SQUARED}, asked)


def _try(settings: dict[str, Any], asked: dict[str, Any]) -> None:
    """Train a network of one input on one example."""
    numbers = settings["cost"] == _SQUARED
    net = new_network({**settings, "sizes": [1, 1 if numbers else 2]})
    x, y = np.zeros((1, 1)), np.zeros((1, 1) if numbers else 1, float if numbers else int)
    with contextlib.suppress(FloatingPointError):
        sgd(net, {**settings, "decay": False}, (x, y), (x, y), **asked)


def _interrupted(
    net: Any, arguments: argparse.Namespace, settings: dict[str, Any]
) -> list[str]:
    """Return what Ctrl-C left, and how to go on."""
    said = f"interrupted after {len(net.history)} of {settings['epochs']} epochs"
    file = arguments.checkpoint or arguments.resume
    if file is None:
        return [f"{said}; --checkpoint FILE lets a run go on"]
    given = (*settings, "hidden", "preset", "checkpoint", "resume", *examples.COLUMNS)
    command = arguments.parser.command(arguments, given, "--resume", file)
    return [f"{said}; {check.printable(file)} has the run, to go on:", command]


def _hint(arguments: argparse.Namespace, settings: dict[str, Any]) -> str:
    """Return what one may do next."""
    file = arguments.save or arguments.checkpoint or arguments.resume
    if file is not None:
        what = "PICTURE.png" if arguments.table is None else "NEW.csv"
        command = ["bpnet", "predict", file, what]
        return f"to use it: {check.printable(usage.joined(command))}"
    again = ("--seed", str(settings["seed"]), "--save", "net.npz")
    return f"to keep it: {arguments.parser.command(arguments, ('seed',), *again)}"


def _tell(
    net: Any,
    parts: examples.Parts,
    done: list[str],
    failed: list[str],
    ended: BaseException | None,
) -> None:
    """Print what is done, and the accuracy; then raise what ended training, and what failed."""
    try:
        for line in done:
            print(line)
        if ended is None:
            print_result(net, parts.test, parts.held_out)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        failed.append(f"stdout: {error.strerror or error}")
    finally:
        if failed:
            raise OSError("; ".join([str(ended)] * isinstance(ended, Exception) + failed))
        if ended is not None:
            raise ended


def _flush(*_: object) -> None:
    """Raise OSError if nobody sees the lines of a training that is kept nowhere."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _settings(arguments: argparse.Namespace, resumed: Any = None) -> dict[str, Any]:
    """Return the settings: as asked, else as in the run to resume, else as in the preset."""
    preset = PRESETS[arguments.preset or ("table" if arguments.table else "tutorial")]
    if arguments.table is not None:  # whose rows are hardly images
        preset = {**preset, "distort": 0.0}
    settings = {**preset, "seed": random.SystemRandom().randrange(2**32)}
    if resumed is not None:
        # As it was before there were these options.
        older = {"rule": "plain", "activation": "sigmoid", "distort": 0.0}
        notes = older | (resumed.notes or {})
        if not settings.keys() <= notes.keys():
            raise ValueError(
                f"--resume must name a checkpoint of bpnet train, got {arguments.resume}"
            )
        found = {name: notes[name] for name in settings}
        for name, value in found.items():
            if not _is_setting(name, value):
                raise ValueError(
                    f"--resume must name a checkpoint with settings of bpnet train, got "
                    f"{name} {value!r:.60}: {arguments.resume}"
                )
        # The seed draws what is held out, too.
        settings = found if arguments.preset is None else {**preset, "seed": found["seed"]}
    asked = {name: getattr(arguments, name) for name in settings}
    settings = settings | {name: value for name, value in asked.items() if value is not None}
    if resumed is not None and settings["distort"] != found["distort"]:
        raise ValueError(
            f"--distort must be {found['distort']:g}, as in the run to resume, got "
            f"{settings['distort']:g}"
        )
    return settings


def _fitting(
    settings: dict[str, Any], arguments: argparse.Namespace, parts: examples.Parts
) -> dict[str, Any]:
    """Return the settings with what is the data's own: the sizes, the cost of numbers."""
    settings = {**settings}
    if arguments.dtype is None and parts.dtype is not None:
        settings["dtype"] = parts.dtype
    hidden, sizes = arguments.hidden, settings["sizes"]
    if hidden is None and arguments.sizes is None and (arguments.table or not sizes[0]):
        hidden = sizes[1:-1]
    if hidden is not None:
        settings["sizes"] = [parts.n_in, *hidden, parts.n_out]
    if parts.numbers and arguments.cost is None:
        settings["cost"] = _SQUARED
    if parts.numbers != (settings["cost"] == _SQUARED):
        wanted = _SQUARED if parts.numbers else " or ".join(_COSTS)
        what = "numbers" if parts.numbers else "classes"
        raise ValueError(f"--cost must be {wanted} for {what}, got {settings['cost']}")
    if settings["initial_weights"] != "default":
        for what, there in (
            ("numbers", parts.numbers),
            (settings["activation"], settings["activation"] != "sigmoid"),
        ):
            if there:
                raise ValueError(
                    f"--initial-weights must be default for {what}, got "
                    f"{settings['initial_weights']}"
                )
    return settings


def _is_setting(name: str, value: Any) -> bool:
    """Whether the option of this name could have given the value; a file may hold any JSON."""
    like = PRESETS["tutorial"].get(name, 0)  # the seed is a number
    if name in _CHOICES:
        return value in _CHOICES[name]
    if isinstance(like, list):
        return isinstance(value, list) and {int} == {*map(type, value)}
    if isinstance(like, float):  # nan is not below anything
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is type(like)


def distorted(examples: Any, settings: dict[str, Any]) -> Any:
    """Return what makes an epoch's examples: square images, distorted, and their labels."""
    if isinstance(examples, bpnet.Dataset):
        examples = examples.rows(0, len(examples))
    (images, labels), pixels = examples, examples[0].shape[1]
    if math.isqrt(pixels) ** 2 != pixels:
        raise ValueError(f"--distort needs square images, got {pixels} pixels")
    images, labels = images.astype(settings["dtype"], copy=False), np.asarray(labels)
    options = {name: settings["distort"] * usual for name, usual in _DISTORTIONS.items()}
    options["n_threads"] = settings["threads"]
    seed = settings["seed"] << 32
    return lambda epoch: (bpnet.distort(images, seed=seed + epoch, **options), labels)


def _keywords(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the options that are no settings ask SGD for."""
    return {
        "plotted": arguments.plot is not None,
        "patience": arguments.patience,
        "max_error": arguments.max_error,
        "min_update": arguments.min_update,
        "max_seconds": arguments.max_seconds,
        "checkpoint": arguments.checkpoint or arguments.resume,
        "checkpoint_seconds": 1.0,
        "resume": arguments.resume,
    }


def new_network(settings: dict[str, Any]) -> Any:
    """Return an untrained network of these settings, a preset's and a seed."""
    if settings["cost"] == _SQUARED or settings["activation"] != "sigmoid":
        return bpnet.MLP(
            settings["sizes"],
            hidden=settings["activation"],
            output=settings["cost"],
            dtype=settings["dtype"],
            seed=settings["seed"],
        )
    net = network2.Network(
        settings["sizes"],
        _COSTS[settings["cost"]],
        dtype=settings["dtype"],
        seed=settings["seed"],
    )
    if settings["initial_weights"] == "large":
        net.large_weight_initializer()
    return net


def sgd(
    net: Any,
    settings: dict[str, Any],
    training: Any,
    validation: Any,
    plotted: bool = False,
    **keywords: Any,
) -> None:
    """Train net by a preset's settings and SGD's own keywords; record what a plot shows."""
    eta, epochs = settings["eta"], settings["epochs"]
    rate = (lambda epoch: eta * (1 - epoch / epochs)) if settings["decay"] else eta
    rule, mu, m = settings["rule"], settings["mu"], settings["mini_batch_size"]
    seen = ["training_cost", "validation_cost"]
    seen += ["training_accuracy"] if settings["cost"] != _SQUARED else []
    keywords |= {
        "n_threads": settings["threads"],
        "ahead": callable(training) and settings["threads"] > 1,
        "lmbda": settings["lmbda"],
        "validation_data": validation,
        "monitor": seen if plotted else [],
    }
    if isinstance(net, bpnet.MLP):
        net.train(
            training,
            epochs,
            m,
            rate,
            rule=bpnet.Rule("momentum" if rule == "plain" else rule, mu=mu) if mu else rule,
            **keywords,
        )
        return
    net.SGD(training, epochs, m, rate, rule=rule, mu=mu, **keywords)


def _keep(net: Any, arguments: argparse.Namespace, whole: bool) -> tuple[list[str], list[str]]:
    """Write what is asked for; return what to say of it, and what went wrong."""
    done, failed = [], []
    if whole:
        n, seconds = len(net.history), sum(record["seconds"] for record in net.history)
        option = arguments.parser.names[net.stopped_by]
        done.append(
            f"{n} epoch{'s' * (n != 1)} in {seconds:.2f} s, validation included; ended by "
            f"{option} {net.notes.get(net.stopped_by, getattr(arguments, net.stopped_by))}"
        )
    for word, path, write in (
        ("saved", arguments.save, keep.save),
        ("plotted", arguments.plot if whole else None, _plot),
    ):
        try:
            if path is not None:
                write(net, path)
                done.append(f"{word} {check.printable(path)}")
        except Exception as error:
            failed.append(str(error) or type(error).__name__)
    return done, failed


def _plot(net: Any, path: str) -> None:
    """Draw the run."""
    from bpnet import plot

    keep.draw(plot.learning_curve(net), path)
