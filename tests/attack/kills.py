"""Does what is killed while it saves or trains leave whole files, and go on to the same bits?

A process saves one network after another, or trains and keeps a checkpoint after each epoch,
until SIGKILL ends it at a random moment of its first few; another goes on, and so on until the
last.  After each kill the file must load, be one of those that were written, and not be older
than what the process had said to be done; after the next save there is nothing beside it.  In
the end weights, random state, history and the order of the data are those of a run that nobody
killed.
"""

import argparse
import hashlib
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bpnet import Dataset, Network, network2, serialize

EPOCHS = 40
WINDOW = 6  # epochs, in whose time a process is killed
DEADLINE = 120  # seconds for a process that nobody kills, which needs one


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="in all (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    arguments = parser.parse_args()
    draw, rows = random.Random(arguments.seed), []
    for i, name in enumerate(RUNS):
        kills = (arguments.kills + i) // len(RUNS)  # as many in all as asked for
        with tempfile.TemporaryDirectory() as folder:
            rows.append(Killer(name, Path(folder), draw).kill(kills))
        print(json.dumps(rows[-1]), flush=True)
    wrong = sum(row["torn"] + row["lost"] + row["left over"] for row in rows)
    same = all(row["same bits"] == "yes" for row in rows)
    print(
        f"{sum(row['kills'] for row in rows)} kills, {wrong} files torn, behind or left over; "
        f"the end {'is' if same else 'IS NOT'} the same bits"
    )
    return int(bool(wrong) or not same)


# What a process does


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


RUNS = {"saves": None, "book": book, "chapter 3": chapter_3, "by hand": by_hand}


def arrays(seed=0):
    """Return 60 examples as X and labels."""
    draw = np.random.RandomState(seed)
    return draw.randn(60, 20), draw.randint(5, size=60)


def tuples():
    """Return the same as columns x and columns y."""
    x, labels = arrays()
    return list(x[:, :, None]), list(np.eye(5)[labels][:, :, None])


def save(path):
    """Save networks whose numbers are all 1, all 2, ..., from the one that is there on."""
    net = Network([200, 30, 10])
    done = states_of_save(serialize.load(path)) if os.path.exists(path) else 0
    print("ready")
    for k in range(done, EPOCHS):
        print(f"Epoch {k}")
        net.biases = [np.full_like(b, k + 1) for b in net.biases]
        net.weights = [np.full_like(w, k + 1) for w in net.weights]
        net.save(path)
    # Of the file: one that was killed after its last save had it whole, and saves no more.
    print(json.dumps({"weights": digest(serialize.load(path).weights[0].tobytes())}))


def states_of_save(model):
    """Return the number that all parameters are; -1: they are not one."""
    found = {number for part in (*model.biases, *model.weights) for number in part.flat}
    return int(found.pop()) if len(found) == 1 else -1


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
            "epochs a kill": 0,
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
            process, said = self.start()
            last = row["kills"] == kills
            if not last:
                time.sleep(self.draw.uniform(0, window))
                os.kill(process, signal.SIGKILL)
            lines, finished = self.end(process, said, kill=not last)
            if not finished:
                done = self.look(lines, done)
                continue
            row["finished"] += 1
            row["left over"] += len(self.others())
            if json.loads(lines[-1]) != expected or self.epochs() != EPOCHS:
                row["same bits"] = "NO"
            self.path.unlink()
            done = 0
            if last:
                row["epochs a kill"] = round(row["epochs a kill"] / max(kills, 1), 3)
                return row

    def finish(self):
        """Return what a run that nobody kills prints last, and remove its file."""
        lines, _ = self.end(*self.start())
        self.path.unlink()
        return json.loads(lines[-1])

    def start(self):
        """Return a process that has begun now, (id, what it prints)."""
        start = time.perf_counter()
        ours, theirs = os.pipe()
        process = os.fork()
        if not process:
            status = 1
            try:
                sys.stdout = open(theirs, "w", buffering=1)
                save(self.path) if self.name == "saves" else train(self.name, self.path)
                sys.stdout.flush()
                status = 0
            finally:
                os._exit(status)
        os.close(theirs)
        said = open(ours)
        if said.readline() != "ready\n":
            raise SystemExit(f"{self.name}: the process has failed")
        self.seconds_to_start = time.perf_counter() - start
        return process, said

    def end(self, process, said, kill=False):
        """Wait for a process; return the lines that it printed, and whether it was done."""
        lines = []
        with said:
            while select.select([said], [], [], DEADLINE)[0] and (line := said.readline()):
                lines.append(line)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status and not (kill and status == -signal.SIGKILL):
            raise SystemExit(f"{self.name}: the process has failed")
        return lines, not status

    def look(self, lines, done):
        """Count what is wrong after a kill; return the epochs in the file."""
        row = self.row
        row["kills"] += 1
        row["in a write"] += len(self.others())
        epochs = [
            int(line.split()[1].rstrip(":")) for line in lines if line.startswith("Epoch")
        ]
        # An epoch is said before it is written, and written before the next is said.
        least = max(epochs[-1], done) if epochs else done
        found = self.epochs()
        if found is None:
            row["before a file"] += 1
            row["lost"] += bool(least)
            return 0
        if found < 0:
            row["torn"] += 1
            self.path.unlink()
            return 0
        row["lost"] += found < least
        row["epochs a kill"] += found - done
        serialize.save(self.path, serialize.load(self.path))
        row["left over"] += len(self.others())
        return found

    def epochs(self):
        """Return the number of epochs in the file; None: no file; -1: not a whole one."""
        try:
            model = serialize.load(self.path)
        except FileNotFoundError:
            return None
        except ValueError:
            return -1
        return len(model.run.state["history"]) if model.run else states_of_save(model)

    def others(self):
        """Return what is in the folder beside the file."""
        return [name for name in os.listdir(self.folder) if name != self.path.name]


if __name__ == "__main__":
    sys.exit(main())
