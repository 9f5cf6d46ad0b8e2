"""What is searched: the settings that are drawn, and when how many of them go on."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpnet
from bpnet import check, reference
from bpnet.search import examples

if TYPE_CHECKING:
    Setting = dict[str, Any]  # what a network is and how it is trained, ready for JSON

DRAWN = 27  # settings, where there is a range


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, of which as many lie in each part of a logarithmic scale."""

    low: float
    high: float
    whole: bool = False

    def at(self, share: float) -> float:
        """Return the number at a place of the scale, in [0, 1): to three digits, or whole."""
        number = self.low * (self.high / self.low) ** share
        number = round(number) if self.whole else float(f"{number:.3g}")
        return min(max(number, self.low), self.high)


def log(low: float, high: float) -> Range:
    """Return the range of numbers from low to high, to be drawn on a logarithmic scale."""
    low, high = (
        check.finite(*each, np.dtype(float)) for each in (("low", low), ("high", high))
    )
    if not 0 < low < high:
        raise ValueError(f"low must be above 0 and below high, got {low:g} and {high:g}")
    return Range(low, high)


def upto(low: int, high: int) -> Range:
    """Return the range of integers from low to high, to be drawn on a logarithmic scale."""
    low = check.integer("low", low, 1)
    return Range(low, check.integer("high", high, low + 1), whole=True)


def _layers(name: str, value: Any) -> list[int]:
    """Return the neurons of hidden layers."""
    layers = [value] if isinstance(value, (int, np.integer)) else value
    if not isinstance(layers, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of neurons, as (30, 30), got {value!r}")
    return [check.integer(name, n, 1) for n in layers]


def _positive(name: str, value: Any) -> int:
    return check.integer(name, value, 1)


def _one_of(names: Any) -> Callable[[str, Any], str]:
    """Return what checks that a value is one of names."""

    def checked(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{name} must be one of {', '.join(names)}, got {value!r}")
        return value

    return checked


def _real(value: float) -> str:
    return f"{value:.3g}"


def layers(hidden: list[int]) -> str:
    """Return hidden layers in words."""
    return "-".join(map(str, hidden)) or "none"


class Parameter(NamedTuple):
    """A part of a setting."""

    check: Callable[[str, Any], Any]
    ranges: str | None  # what may draw it: log or upto; None: its values are names
    heading: str  # of its column in a table
    show: Callable[[Any], str]


# To add one: a row, an argument of run with its default, and what task.py makes of it.
PARAMETERS = {
    "hidden": Parameter(_layers, "upto", "hidden", layers),
    "activation": Parameter(_one_of(reference.ACTIVATIONS), None, "activation", str),
    "eta": Parameter(check.not_negative, "log", "eta", _real),
    "mini_batch_size": Parameter(_positive, "upto", "mini-batch", str),
    "lmbda": Parameter(check.not_negative, "log", "lmbda", _real),
    "l1": Parameter(check.not_negative, "log", "l1", _real),
    "rule": Parameter(_one_of(reference.RULES), None, "rule", str),
}


# Arguments of run that are integers, and the least and the most of each.
_COUNTS = {
    **{
        name: (1, sys.maxsize)
        for name in ("settings", "epochs", "factor", "seeds", "n_threads")
    },
    "seed": (0, 2**31),
}


def checked(name: str, given: Any) -> Any:
    """Return an argument of run, whatever the data: an integer, or what choices returns."""
    if name in PARAMETERS:
        return choices(name, given)
    return check.integer(name, given, *_COUNTS[name])


def choices(name: str, given: Any) -> Range | list[Any]:
    """Return a range, or a list of checked values."""
    if isinstance(given, Range):
        ranges = PARAMETERS[name].ranges
        if ranges is None:
            raise TypeError(f"{name} must be a name, or a list of names, got a range")
        if given.whole != (ranges == "upto"):
            raise TypeError(f"{name} must be a value, a list or search.{ranges}(low, high)")
        return given
    values = given if isinstance(given, list) else [given]
    if not values:
        raise ValueError(f"{name} must list at least one value, got none")
    return [PARAMETERS[name].check(name, value) for value in values]


def settings(space: dict[str, Any], count: int | None, seed: int) -> list[Setting]:
    """Return the settings to try: all combinations, so many of them, or so many drawn."""
    source = random.Random(seed)
    if any(isinstance(values, Range) for values in space.values()):
        count = DRAWN if count is None else count
        columns = [_dealt(name, values, count, source) for name, values in space.items()]
        return [dict(zip(space, row)) for row in zip(*columns)]
    found = [dict(zip(space, row)) for row in itertools.product(*space.values())]
    if count is None or count >= len(found):
        return found
    return [found[i] for i in sorted(source.sample(range(len(found)), count))]


def _dealt(name: str, values: Any, count: int, source: random.Random) -> list[Any]:
    """Return count values: each of a list, or of the parts of a range, as often as others."""
    if isinstance(values, Range):
        found = [values.at((i + source.random()) / count) for i in range(count)]
        found = [PARAMETERS[name].check(name, value) for value in found]
    else:
        found = [values[i % len(values)] for i in range(count)]
    source.shuffle(found)
    return found


def rungs(n: int, epochs: int, factor: int) -> list[tuple[int, int]]:
    """Return the rungs: how many settings are trained until how many epochs."""
    counts = [n]
    while factor > 1 and counts[-1] >= factor**2 and epochs >= factor ** len(counts):
        counts.append(counts[-1] // factor)
    last = len(counts) - 1
    return [(n, round(epochs / factor ** (last - k))) for k, n in enumerate(counts)]


def varied(found: list[Setting]) -> set[str]:
    """Return the names of what differs among settings."""
    return {name for name in PARAMETERS if len({str(each[name]) for each in found}) > 1}


@dataclass(frozen=True)
class Job:
    """What all networks of a search have in common, ready for JSON."""

    n_in: int
    n_out: int
    output: str
    figure: str  # what settings are judged by, as a history has it
    dtype: str
    epochs: int  # of the last rung, in which eta falls to 0

    def sizes(self, setting: Setting) -> list[int]:
        """Return the layers of a setting's network."""
        return [self.n_in, *setting["hidden"], self.n_out]

    def parameters(self, setting: Setting) -> int:
        """Return how many weights and biases there are."""
        sizes = self.sizes(setting)
        return sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:]))

    def error(self, history: list[dict[str, Any]]) -> float:
        """Return what is small where a network is good."""
        value: float = history[-1][self.figure]
        return -value if self.percent else value

    @property
    def percent(self) -> bool:
        """Whether settings are judged by an accuracy."""
        return self.figure.endswith("accuracy")

    def shown(self, value: float) -> str:
        """Return a figure as one reads it."""
        return f"{100 * value:.2f}" if self.percent else f"{value:.4g}"


def job(training: Any, validation: Any, output: str | None, epochs: int) -> Job:
    """Return the job for these examples; ValueError if the output is not for them."""
    n_in, n_out, classes = examples.sizes(training, validation)
    if output is None:
        output = "cross-entropy" if classes else "squared"
    output = _one_of(reference.OUTPUTS)("output", output)
    judge = bpnet.MLP([n_in, n_out], output=output)
    figure = f"validation_{'accuracy' if judge.classifies else 'cost'}"
    return Job(n_in, n_out, output, figure, training.dtype.name, epochs)


@dataclass(frozen=True)
class Plan:
    """All that the table follows from, ready for JSON."""

    job: Job
    settings: list[Setting]
    rungs: list[tuple[int, int]]
    seeds: list[int]
    checksums: list[int]  # of training and validation data
    lengths: list[int]

    def epochs_to_train(self) -> int:
        """Return the epochs of all networks, if none diverges."""
        begun, total = 0, self.rungs[-1][0] * self.job.epochs * (len(self.seeds) - 1)
        for count, until in self.rungs:
            total += count * (until - begun)
            begun = until
        return total
