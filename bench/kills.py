"""Does a training run that is killed at any moment go on to the same bits, from a whole file?

A process trains and keeps a checkpoint after each epoch, until SIGKILL ends it at a random
moment of its first few epochs; another resumes, and so on until the run is finished.  Weights,
random state, history and the order of the data must then be those of a run that nobody killed.
After each kill the checkpoint must load, and hold what the process had said to be done.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import report

from bpnet import Dataset, Network, network2, serialize

EPOCHS = 40
WINDOW = 6  # epochs, in whose time a process is killed
DEADLINE = 120  # seconds for a process that nobody kills, which needs one


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=300, help="in all (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--train", nargs=2, metavar=("RUN", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(*arguments.train)
        return
    draw, rows = random.Random(arguments.seed), []
    for i, name in enumerate(RUNS):
        kills = (arguments.kills + i) // len(RUNS)  # as many in all as asked for
        with tempfile.TemporaryDirectory() as folder:
            rows.append(Killer(name, Path(folder), draw).kill(kills))
    wrong = sum(row["torn"] + row["lost"] + row["left over"] for row in rows)
    same = all(row["same bits"] == "yes" for row in rows)
    report(
        f"Runs of {EPOCHS} epochs, each killed again and again: {wrong} files torn, behind or "
        f"left over; the end {'is' if same else 'IS NOT'} the same bits",
        rows,
        arguments.save,
        kills=sum(row["kills"] for row in rows),
        seed=arguments.seed,
    )
    if wrong or not same:
        raise SystemExit(1)


# What a process trains


def book():
    """Momentum, patience; a seeded network on a list."""
    net = Network([20, 30, 5], seed=1)
    return (
        net,
        list(zip(*tuples())),
        {"mu": 0.5, "patience": EPOCHS, "validation_data": arrays(1)},
    )


def chapter_3():
    """Both regularisations; the global generators, float32, a pair of arrays, two threads."""
    net = network2.Network([20, 30, 5], dtype="float32")
    return net, arrays(), {"lmbda": 0.5, "l1": 0.1, "n_threads": 2}


def by_hand():
    """A step of the script's own, momentum; a Dataset."""
    net = Network([20, 10, 5], seed=1)
    net.backprop = lambda x, y: Network.backprop(net, x, y)
    return net, Dataset(arrays()), {"mu": 0.5, "monitor": "training_cost"}


RUNS = {"book": book, "chapter 3": chapter_3, "by hand": by_hand}


def arrays(seed=0):
    """Return 60 examples as X and labels."""
    draw = np.random.RandomState(seed)
    return draw.randn(60, 20), draw.randint(5, size=60)


def tuples():
    """Return the same as columns x and columns y."""
    x, labels = arrays()
    return list(x[:, :, None]), list(np.eye(5)[labels][:, :, None])


def train(name, path):
    """Train, from the checkpoint on if there is one; print what was made, in digests."""
    resume = path if os.path.exists(path) else None
    if resume is None:
        random.seed(1), np.random.seed(1)
    net, data, options = RUNS[name]()
    if resume is not None:  # and so everything has to come from the file
        random.seed(), np.random.seed()
        net.weights = [np.random.randn(*w.shape) for w in net.weights]
    given = list(data) if isinstance(data, list) else []
    sys.stdout.reconfigure(line_buffering=True)
    print("ready")
    net.SGD(
        data,
        EPOCHS,
        10,
        lambda epoch: 1 / (1 + epoch),
        checkpoint=path,
        resume=resume,
        **options,
    )
    for record in net.history:
        del record["seconds"]
    order = [next(i for i, pair in enumerate(given) if pair is each) for each in data if given]
    print(
        json.dumps(
            {
                "weights": digest(b"".join(w.tobytes() for w in net.weights + net.biases)),
                "random state": digest(repr((net._rng or random).getstate()).encode()),
                "history": digest(json.dumps(net.history).encode()),
                "order": digest(repr(order).encode()),
                "stopped by": net.stopped_by,
            }
        )
    )


def digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


# Who kills it


class Killer:
    """Runs of one kind in a folder, each killed at random moments until it is finished."""

    def __init__(self, name, folder, draw):
        self.name, self.folder, self.draw = name, folder, draw
        self.path = folder / "checkpoint"
        self.row = {
            "run": name,
            "finished": 0,
            "kills": 0,
            "before a file": 0,
            "in a write": 0,
            "epochs a kill": 0.0,
            "torn": 0,
            "lost": 0,
            "left over": 0,
            "same bits": "yes",
        }

    def kill(self, kills):
        """Kill so many processes; return the row of the table."""
        start = time.perf_counter()
        expected = self.finish()
        window = WINDOW * (time.perf_counter() - start - self.seconds_to_start) / EPOCHS
        row, done = self.row, 0
        while True:
            process = self.start()
            if row["kills"] == kills:
                found = self.end(process)
            else:
                time.sleep(self.draw.uniform(0, window))
                process.kill()
                found, done = self.look(process, done)
            if found is None:
                continue
            row["finished"] += 1
            row["left over"] += len(self.others())
            if found != expected or not self.epochs():
                row["same bits"] = "NO"
            self.path.unlink()
            done = 0
            if row["kills"] == kills:
                row["epochs a kill"] /= max(kills, 1)
                return row

    def finish(self):
        """Return what a run that nobody kills prints last, and remove its checkpoint."""
        found = self.end(self.start())
        self.path.unlink()
        return found

    def start(self):
        """Return a process that begins to train now."""
        start = time.perf_counter()
        command = [sys.executable, __file__, "--train", self.name, str(self.path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{self.name}: the process that trains has failed")
        self.seconds_to_start = time.perf_counter() - start
        return process

    def end(self, process):
        """Wait for a process; return the digests that it prints."""
        lines = process.communicate(timeout=DEADLINE)[0].splitlines()
        if process.returncode:
            raise SystemExit(f"{self.name}: the process that trains has failed")
        return json.loads(lines[-1])

    def look(self, process, done):
        """Return the digests if the run was finished before the kill, and its epochs."""
        lines = process.communicate()[0].splitlines()
        if process.returncode == 0:
            return json.loads(lines[-1]), EPOCHS
        row = self.row
        row["kills"] += 1
        row["in a write"] += len(self.others())
        said = [int(line.split()[1].rstrip(":")) for line in lines if line.startswith("Epoch")]
        # An epoch is said before it is written, and written before the next is said.
        least = max(said[-1], done) if said else done
        found = self.epochs()
        if found is None:
            row["before a file"] += 1
            row["lost"] += bool(least)
            return None, 0
        row["torn"] += found < 0
        row["lost"] += 0 <= found < least
        row["epochs a kill"] += max(found, 0) - done
        return None, max(found, 0)

    def epochs(self):
        """Return the number of epochs in the checkpoint; None: no file; -1: not a whole one."""
        try:
            return len(serialize.load(self.path).run.state["history"])
        except FileNotFoundError:
            return None
        except ValueError:
            return -1

    def others(self):
        """Return what is in the folder beside the checkpoint."""
        return [name for name in os.listdir(self.folder) if name != self.path.name]


if __name__ == "__main__":
    main()
