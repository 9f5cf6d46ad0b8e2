"""What does an engine of a search cost: to start, a task, and does it change what is found?

Each engine has two workers (the first, one) and a process of its own, in which it trains many
networks of 784-30-10 for an epoch of 1,000 digits, one after another, and then searches MNIST:
27 settings of at most 9 epochs.  Engines take turns.  "to start" is from the command to the
first network, in a task "beside training" is what its submitter waits for but the training.
"""

import functools
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from harness import options, report

import bpnet
from bpnet import mnist_loader, search
from bpnet.search.space import Job
from bpnet.search.task import Task, train

TASKS = 100
SETTING = {
    "hidden": [30],
    "activation": "sigmoid",
    "eta": 0.5,
    "mini_batch_size": 10,
    "lmbda": 2.0,
    "l1": 0.0,
    "rule": "plain",
}
JOB = Job(784, 10, "cross-entropy", "validation_accuracy", "float32", 2)


def main():
    parser = options(__doc__, turns=3)
    parser.add_argument("--engine", choices=ENGINES, help=f"only that, on {FILES} of a folder")
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measured(arguments.engine, arguments.data)))
        return
    found = {name: [] for name in ENGINES}
    with tempfile.TemporaryDirectory() as folder:
        parts = mnist_loader.load_data(arguments.data)
        few = [tuple(part[:n] for part in parts[k]) for k, n in ((0, 1000), (1, 100))]
        for name, part in zip(FILES, [*parts[:2], *few]):
            bpnet.Dataset(part, dtype="float32").save(Path(folder, name))
        for _ in range(arguments.turns):
            for name in ENGINES:
                found[name].append(alone(name, folder))
    rows = []
    for name, turns in found.items():
        (checksum,) = {turn.pop("checksum") for turn in turns}
        sent = {key: turns[0].pop(key) for key in ("task, bytes", "checkpoint, bytes")}
        medians = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        rows.append({"engine": name, **medians, "checksum": checksum})
    report(
        "engines of a search, each in processes of its own, medians",
        rows,
        arguments.save,
        **sent,
        turns=arguments.turns,
    )


def alone(name, folder):
    """Return what an engine's own process measures."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
    before = [mpiexec, "-n", "3"] if name == "mpi4py.futures" else []
    module = ["-m", "mpi4py.futures"] if name == "mpi4py.futures" else []
    command = [*before, sys.executable, *module, __file__, "--engine", name, "--data", folder]
    start = time.time()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout)
    return {"to start, s": figures.pop("began") - start, **figures}


def measured(name, folder):
    """Return what an engine costs."""
    training, validation, *few = (os.path.join(folder, file) for file in FILES)
    with ENGINES[name]() as executor:
        sent = pickle.dumps([bpnet.open(path) for path in few])
        task = Task(sent, 0, SETTING, 1, JOB, 0, 1, b"")
        state = executor.submit(train, task).result().state
        began = time.time()
        beside = [beside_training(executor, sent, state) for _ in range(TASKS)]
        found = search.run(
            (training, validation),
            hidden=[(30,), (60,), (100,), (30, 30), (60, 60)],
            eta=search.log(0.03, 3),
            mini_batch_size=[10, 20, 32],
            lmbda=search.log(0.1, 10),
            settings=27,
            epochs=9,
            executor=executor,
            verbose=False,
        )
    return {
        "began": began,
        "beside training, ms": 1000 * statistics.median(beside),
        "27 settings, s": found.seconds,
        "checksum": f"{found.checksum:08x}",
        "task, bytes": len(pickle.dumps(task)),
        "checkpoint, bytes": len(state),
    }


def beside_training(executor, sent, state):
    """Return the seconds that a task takes but for those of its training."""
    start = time.perf_counter()
    outcome = executor.submit(train, Task(sent, 0, SETTING, 1, JOB, 1, 2, state)).result()
    return time.perf_counter() - start - outcome.seconds


def loky():
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(2)


def dask():
    from distributed import LocalCluster

    return LocalCluster(n_workers=2, threads_per_worker=1).get_client().get_executor()


def mpi():
    from mpi4py.futures import MPIPoolExecutor

    return MPIPoolExecutor()


FILES = ("training", "validation", "few-training", "few-validation")
ENGINES = {
    "1 thread": functools.partial(ThreadPoolExecutor, 1),
    "2 threads": functools.partial(ThreadPoolExecutor, 2),
    "ProcessPoolExecutor, spawn": lambda: ProcessPoolExecutor(2, get_context("spawn")),
    "loky": loky,
    "Dask, a cluster on one machine": dask,
    "mpi4py.futures": mpi,
}

if __name__ == "__main__":
    main()
