"""``bpnet train``: presets, options that change them, runs that go on where they stopped."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import bpnet
from bpnet import check, mnist_loader, network2
from bpnet.cli.evaluate import check_fit, data_option, print_accuracy
from bpnet.cli.interrupts import Interrupts
from bpnet.wholefile import write_whole

HELP = "train on MNIST; without options, the tutorial's job from better initial weights"

_COSTS = {"quadratic": network2.QuadraticCost, "cross-entropy": network2.CrossEntropyCost}

# Each setting is an option; what is not here is off.
PRESETS: dict[str, dict[str, Any]] = {
    # The tutorial's job, but for its initial weights, which can lose whole digits.
    "tutorial": {
        "sizes": [784, 30, 10],
        "epochs": 30,
        "mini_batch_size": 10,
        "eta": 3.0,
        "decay": False,
        "cost": "quadratic",
        "initial_weights": "default",
        "lmbda": 0.0,
        "mu": 0.0,
        "expand": False,
        "dtype": "float64",
        "threads": 1,
    },
    # Chosen by the validation digits, as the next is (docs/how-many-neurons.md).
    "best": {
        "sizes": [784, 200, 10],
        "epochs": 20,
        "mini_batch_size": 10,
        "eta": 0.5,
        "decay": True,
        "cost": "cross-entropy",
        "initial_weights": "default",
        "lmbda": 2.0,
        "mu": 0.0,
        "expand": False,
        "dtype": "float32",
        "threads": 2,
    },
    # What a minute buys.
    "minute": {
        "sizes": [784, 800, 10],
        "epochs": 14,
        "mini_batch_size": 10,
        "eta": 0.5,
        "decay": True,
        "cost": "cross-entropy",
        "initial_weights": "default",
        "lmbda": 5.0,
        "mu": 0.0,
        "expand": True,
        "dtype": "float32",
        "threads": 2,
    },
}

_KEEPERS = ("save", "plot", "checkpoint", "resume")  # options that say where a result goes
_CHOICES = {
    "cost": list(_COSTS),
    "initial_weights": ["default", "large"],
    "dtype": ["float64", "float32"],
}


def add(option: Any) -> None:
    """Declare the options of ``bpnet train``."""

    def setting(name: str, text: str, **form: Any) -> None:
        presets: dict[str, list[str]] = {}
        for preset, settings in PRESETS.items():
            presets.setdefault(_shown(settings[name]), []).append(preset)
        default = ", ".join(f"{' and '.join(of)}: {value}" for value, of in presets.items())
        option("--" + name.replace("_", "-"), help=f"{text} ({default})", **form)

    option(
        "--preset",
        choices=list(PRESETS),
        help="where the other options' defaults come from (default: tutorial)",
    )
    setting("sizes", "neurons of each layer, input layer first", type=_sizes, metavar="N,N,...")
    setting("epochs", "passes over the data", type=int, metavar="N")
    setting("mini_batch_size", "examples in one update", type=int, metavar="N")
    setting("eta", "learning rate", type=float, metavar="X")
    setting(
        "decay",
        "let the learning rate fall to zero over the epochs, in a straight line",
        action=argparse.BooleanOptionalAction,
    )
    setting("cost", "what training makes small", choices=_CHOICES["cost"])
    setting(
        "initial_weights",
        "N(0, 1 / inputs) or, large, N(0, 1) as in the tutorial",
        choices=_CHOICES["initial_weights"],
    )
    setting("lmbda", "coefficient of L2 regularisation", type=float, metavar="X")
    setting("mu", "momentum", type=float, metavar="X")
    setting(
        "expand",
        "train on each digit moved by a pixel up, down, left and right, too",
        action=argparse.BooleanOptionalAction,
    )
    setting("dtype", "numbers to compute with", choices=_CHOICES["dtype"])
    setting("threads", "the most to use", type=int, metavar="N")
    option("--seed", type=int, metavar="N", help="of weights and shuffles (default: a new one)")
    option(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs without a better accuracy on the validation digits, and keep "
        "the weights of the best",
    )
    option("--max-error", type=float, metavar="X", help="stop below this share misclassified")
    option(
        "--min-update", type=float, metavar="X", help="stop below this relative weight change"
    )
    option("--max-seconds", type=float, metavar="X", help="stop after an epoch that ends later")
    option("--save", metavar="FILE", help="save the network, also after Ctrl-C or a failure")
    option("--plot", metavar="FILE", help="draw costs and accuracies, epoch by epoch")
    option("--checkpoint", metavar="FILE", help="keep the run in a file, so that it can go on")
    option("--resume", metavar="FILE", help="go on with the run in a checkpoint")
    data_option(option)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _sizes(text: str) -> list[int]:
    try:
        return [int(n) for n in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be numbers separated by commas, as 784,30,10, got {text!r}"
        ) from None


def run(arguments: argparse.Namespace) -> None:
    """Train on MNIST, saying how it goes on the validation digits, then test."""
    if arguments.save is not None:
        _check_writable("--save", Path(arguments.save))
    if arguments.plot is not None:
        _check_plot(arguments.plot)
    settings = _settings(arguments)
    net = new_network(settings)
    net.notes = settings
    training, validation, test = mnist_loader.load_data(arguments.data)
    check_fit(net, training, validation, test)
    if settings["expand"]:
        training = expanded(*training)
    kept = any(getattr(arguments, option) is not None for option in _KEEPERS)
    with contextlib.suppress(*[OSError] if kept else []):  # a line lost is no run lost
        print(
            f"{'-'.join(map(str, net.sizes))}, {net.dtype}, seed {settings['seed']}; "
            f"{len(training[1]):,} digits to train on, {len(validation[1]):,} to validate, "
            f"{len(test[1]):,} to test"
        )
    keywords = _keywords(arguments) | {"callback": None if kept else _flush}
    ended: BaseException | None = None
    with Interrupts() as interrupts:
        try:
            sgd(net, settings, training, validation, **keywords)
            interrupts.hold()
        except (KeyboardInterrupt, Exception) as error:
            interrupts.hold()
            if isinstance(error, Exception) and not net.history:
                raise  # nothing is trained
            ended = error  # the weights are those of a whole number of mini-batches
        done, failed = _keep(net, arguments, whole=ended is None)
    if interrupts.came and ended is None:
        ended = KeyboardInterrupt()
    _tell(net, test, done, failed, ended)


def _tell(
    net: network2.Network,
    test: Any,
    done: list[str],
    failed: list[str],
    ended: BaseException | None,
) -> None:
    """Print what is done, and the accuracy; then raise what ended training, and what failed."""
    try:
        for line in done:
            print(line)
        if ended is None:
            print_accuracy(net, test)
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


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings: as asked, else as in the run to resume, else as in the preset."""
    preset = PRESETS[arguments.preset or "tutorial"]
    settings = {**preset, "seed": random.SystemRandom().randrange(2**32)}
    if arguments.resume is not None:
        notes = bpnet.load(arguments.resume).notes or {}
        if not settings.keys() <= notes.keys():
            raise ValueError(
                f"--resume must name a checkpoint of bpnet train, got {arguments.resume}"
            )
        if arguments.preset is None:
            settings = {name: notes[name] for name in settings}
            for name, value in settings.items():
                if not _is_setting(name, value):
                    raise ValueError(
                        f"--resume must name a checkpoint with settings of bpnet train, got "
                        f"{name} {value!r:.60}: {arguments.resume}"
                    )
    asked = {name: getattr(arguments, name) for name in settings}
    return settings | {name: value for name, value in asked.items() if value is not None}


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


def expanded(images: Any, labels: Any) -> tuple[Any, Any]:
    """Return square images and, after them, what moving them by a pixel gives; and labels.

    The four moves are those of the book's expand_mnist.py, chapter 3.
    """
    side = math.isqrt(images.shape[1])
    if side * side != images.shape[1]:
        raise ValueError(f"--expand needs square images, got {images.shape[1]} pixels")
    square = np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1)))
    moves = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]  # the first is none
    moved = [square[:, y : y + side, x : x + side] for y, x in moves]
    return np.concatenate(moved).reshape(-1, side * side), np.tile(labels, len(moves))


def _keywords(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the options that are no settings ask SGD for."""
    plotted = arguments.plot is not None
    return {
        "monitor_evaluation_cost": plotted,
        "monitor_training_accuracy": plotted,
        "monitor_training_cost": plotted,
        "patience": arguments.patience,
        "max_error": arguments.max_error,
        "min_update": arguments.min_update,
        "max_seconds": arguments.max_seconds,
        "verbose": "bar",
        "checkpoint": arguments.checkpoint or arguments.resume,
        "checkpoint_seconds": 1.0,
        "resume": arguments.resume,
    }


def new_network(settings: dict[str, Any]) -> network2.Network:
    """Return an untrained network of these settings, a preset's and a seed."""
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
    net: network2.Network,
    settings: dict[str, Any],
    training: Any,
    validation: Any,
    **keywords: Any,
) -> None:
    """Train net by a preset's settings and SGD's own keywords."""
    eta, epochs = settings["eta"], settings["epochs"]
    net.SGD(
        training,
        epochs,
        settings["mini_batch_size"],
        (lambda epoch: eta * (1 - epoch / epochs)) if settings["decay"] else eta,
        settings["lmbda"],
        validation,
        monitor_evaluation_accuracy=True,
        mu=settings["mu"],
        n_threads=settings["threads"],
        **keywords,
    )


def _keep(
    net: network2.Network, arguments: argparse.Namespace, whole: bool
) -> tuple[list[str], list[str]]:
    """Write what is asked for; return what to say of it, and what went wrong."""
    done, failed = [], []
    if whole:
        n, seconds = len(net.history), sum(record["seconds"] for record in net.history)
        done.append(
            f"{n} epoch{'s' * (n != 1)} in {seconds:.2f} s, validation included; ended by "
            f"{net.stopped_by}"
        )
    for word, path, keep in (
        ("saved", arguments.save, _save),
        ("plotted", arguments.plot if whole else None, _plot),
    ):
        try:
            if path is not None:
                keep(net, path)
                done.append(f"{word} {check.printable(path)}")
        except Exception as error:
            failed.append(str(error) or type(error).__name__)
    return done, failed


def _save(net: network2.Network, path: str) -> None:
    """Save net; if that fails, elsewhere, and raise OSError that says where."""
    try:
        net.save(path)
    except OSError as error:
        reason = f"--save {path}: {error.strerror or error}"
        found = _rescued(net)
        if found is None:
            raise OSError(f"{reason}, nor is there another place for the network") from None
        raise OSError(f"{reason}: the network is in {found}") from None


def _rescued(net: network2.Network) -> str | None:
    """Save net in a new file, here or among the temporary ones, and return its name."""
    for folder in (os.curdir, tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            number, path = tempfile.mkstemp(".npz", "bpnet-", os.path.abspath(folder))
            os.close(number)
            try:
                net.save(path)
                return path
            except OSError:
                os.unlink(path)
    return None


def _plot(net: network2.Network, path: str) -> None:
    """Draw the run; a picture that is there is replaced, or kept."""
    from bpnet import plot

    picture, form = plot.learning_curve(net.history), Path(path).suffix[1:] or "png"
    try:
        write_whole(path, lambda file: picture.savefig(file, format=form))
    except OSError as error:
        raise OSError(f"--plot {path}: {error.strerror or error}") from None


def _check_writable(option: str, path: Path) -> None:
    """Raise OSError now rather than after the training."""
    target = Path(os.path.realpath(path))
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            writable = target.is_file() or not target.exists()
    except OSError:
        writable = False
    if not writable:
        raise OSError(f"{option} must name a file in a folder that can be written, got {path}")


def _check_plot(path: str) -> None:
    """Draw something to nowhere: what is missing is said before the training."""
    from bpnet import plot

    picture = plot.learning_curve([{"epoch": 0, "update": 1.0}])
    picture.savefig(io.BytesIO(), format=Path(path).suffix[1:] or "png")
    _check_writable("--plot", Path(path))
