"""Who trains: threads of this process, or the workers of any executor."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import bpnet
from bpnet import check
from bpnet.search.task import Outcome, Task, train

_MPI = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")


class Workers:
    """An executor: threads of our own, the caller's, or those that its function makes."""

    def __init__(self, executor: Any, n_threads: int | None):
        self.make = executor if _makes_executors(executor) else None
        self.halt: threading.Event | None = None
        if executor is None:
            n = os.cpu_count() or 1 if n_threads is None else check.threads(n_threads)
            self.make, self.halt = functools.partial(ThreadPoolExecutor, n), threading.Event()
        elif n_threads is not None:
            raise ValueError(f"n_threads must be None where executor is given, got {n_threads}")
        self.executor: Any = self.make() if self.make else executor
        if not hasattr(self.executor, "submit"):
            raise TypeError(
                f"executor must be a concurrent.futures.Executor or a function that makes one, "
                f"got {executor!r:.100}"
            )

    def __enter__(self) -> Workers:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is under way; what is the caller's lives on."""
        if self.halt is not None:
            self.halt.set()
        if self.make is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)

    def send(self, parts: list[bpnet.Dataset], scratch: contextlib.ExitStack) -> Any:
        """Return what stands for the data in tasks: itself in threads, else bytes.

        These are names of files, and checksums: what is in no file is written to one, which
        is there until scratch is closed.
        """
        if isinstance(self.executor, ThreadPoolExecutor):
            return parts
        for i, part in enumerate(parts):
            if part.path is None:
                folder = scratch.enter_context(tempfile.TemporaryDirectory(prefix="bpnet-"))
                path = os.path.join(folder, "examples.bpd")
                part.save(path)
                parts[i] = bpnet.open(path)
        return pickle.dumps(parts)

    @property
    def can_be_renewed(self) -> bool:
        """Whether there is another executor where one breaks."""
        return self.make is not None

    def submit(self, task: Task) -> Future[Outcome]:
        """Have a task done; RuntimeError if the executor takes no more."""
        try:
            return self.executor.submit(train, task)
        except RuntimeError as error:
            raise RuntimeError(
                f"the executor takes no more tasks, perhaps since a worker died ({error}): "
                f"give a function that makes one, as executor=lambda: ProcessPoolExecutor(2), "
                f"or call again with the same log to go on"
            ) from error

    def renew(self) -> None:
        """Take another executor where a function makes them."""
        if self.make is not None:
            self.executor.shutdown(wait=False)
            self.executor = self.make()


def _makes_executors(executor: Any) -> bool:
    return callable(executor) and (
        isinstance(executor, type) or not hasattr(executor, "submit")
    )


def refuse_copies() -> None:
    """Raise RuntimeError where mpiexec runs the script more than once."""
    ranks = [os.environ[name] for name in _MPI if name in os.environ]
    alone = "mpi4py.futures" not in sys.modules and _is_one_of_many()
    if any(rank != "0" for rank in ranks) or alone:
        raise RuntimeError(
            "search.run must be called once, but mpiexec runs this script on every rank: use "
            "mpiexec -n 3 python -m mpi4py.futures script.py"
        )


def _is_one_of_many() -> bool:
    return any(
        os.environ.get(name, "1") not in ("", "0", "1")
        for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
    )
