"""One network, in whatever process: what comes of a task follows from the task alone."""

from __future__ import annotations

import functools
import io
import math
import pickle
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import bpnet

if TYPE_CHECKING:
    from bpnet.search.space import Job, Setting

    Key = tuple[int, int, int]  # number of a setting, seed, epochs

_NEVER = 1e9  # seconds


class SettingError(RuntimeError):
    """What a setting's training raised, and which setting it was."""


@dataclass(frozen=True)
class Task:
    """A network of one setting and seed, to be trained until so many epochs."""

    data: Any  # [training, validation], or bytes: pickled once for all tasks
    number: int
    setting: Setting
    seed: int
    job: Job
    begun: int
    until: int
    state: bytes  # a checkpoint of the rung before, or nothing
    halt: threading.Event | None = None  # in threads of this process

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.number, self.seed, self.until


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    setting: int
    seed: int
    epochs: int
    history: list[dict[str, Any]]
    seconds: float
    diverged: bool
    crc: int  # of the parameters
    state: bytes

    @property
    def key(self) -> Key:
        """The key of its task."""
        return self.setting, self.seed, self.epochs

    def place(self, job: Job) -> tuple[bool, float, int]:
        """Return what outcomes are sorted by, the best first."""
        return self.diverged, 0.0 if self.diverged else job.error(self.history), self.setting


@functools.lru_cache(maxsize=1)
def _opened(pickled: bytes) -> list[bpnet.Dataset]:
    """Return the data, which a worker opens once for all of its tasks."""
    return pickle.loads(pickled)


def train(task: Task) -> Outcome:
    """Train a network; SettingError if that fails."""
    try:
        return _trained(task)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingError(f"setting {task.number} ({task.setting}): {reason}") from error


def _trained(task: Task) -> Outcome:
    training, validation = _opened(task.data) if isinstance(task.data, bytes) else task.data
    setting, job, halt = task.setting, task.job, task.halt
    net = bpnet.MLP(
        job.sizes(setting),
        hidden=setting["activation"],
        output=job.output,
        dtype=job.dtype,
        seed=task.seed,
    )
    checkpoint, start, diverged = io.BytesIO(), time.perf_counter(), False
    try:
        net.train(
            training,
            task.until,
            setting["mini_batch_size"],
            lambda epoch: setting["eta"] * (1 - epoch / job.epochs),
            rule=setting["rule"],
            lmbda=setting["lmbda"],
            l1=setting["l1"],
            validation_data=validation,
            callback=None if halt is None else lambda *_: halt.is_set(),
            checkpoint=checkpoint,
            checkpoint_seconds=_NEVER,
            resume=io.BytesIO(task.state) if task.state else None,
        )
    except FloatingPointError:
        diverged = True
    crc = 0
    for array in (*net.biases, *net.weights):
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return Outcome(
        task.number,
        task.seed,
        task.until,
        net.history,
        time.perf_counter() - start,
        diverged or not math.isfinite(net.history[-1][job.figure]),
        crc,
        checkpoint.getvalue(),
    )
