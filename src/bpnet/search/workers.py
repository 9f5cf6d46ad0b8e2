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

# In the environment of what mpiexec starts: of MPICH and its kin, of Open MPI.
_RANKS, _SIZES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


class Workers:
    """An executor: threads of our own, the caller's, or those that its function makes."""

    def __init__(self, executor: Any, n_threads: int | None):
        self.make = executor if _makes_executors(executor) else None
        self.halt: threading.Event | None = None
        self.broken: Exception | None = None  # why the executor takes no more tasks
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
            self.executor.shutdown(wait=True)

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

    def submit(self, task: Task) -> Future[Outcome]:
        """Have a task done; whatever an executor raises that is broken, or shut down."""
        try:
            return self.executor.submit(train, task)
        except Exception as error:  # Dask's, for one, is no RuntimeError
            self.broken = error
            raise

    def renew(self) -> None:
        """Take another executor where a function makes them, else the same if it lives on."""
        if self.make is not None:
            self.executor.shutdown(wait=False)
            self.executor = self.make()
        elif self.broken is not None:
            raise RuntimeError(
                f"the executor takes no more tasks, perhaps since a worker died: give a "
                f"function that makes one, as executor=lambda: ProcessPoolExecutor(2), or call "
                f"again with the same log to go on ({self.broken})"
            ) from self.broken


def _makes_executors(executor: Any) -> bool:
    return callable(executor) and (
        isinstance(executor, type) or not hasattr(executor, "submit")
    )


def refuse_copies() -> None:
    """Raise RuntimeError where mpiexec runs the script more than once."""
    rank = max(int(os.environ.get(name) or 0) for name in _RANKS)
    size = max(int(os.environ.get(name) or 1) for name in _SIZES)
    if rank > 0 or (size > 1 and "mpi4py.futures" not in sys.orig_argv):
        raise RuntimeError(
            "search.run must be called once, but mpiexec runs this script on every rank: use "
            "mpiexec -n 3 python -m mpi4py.futures script.py"
        )
