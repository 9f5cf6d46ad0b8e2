"""Does a network learn as well from a file of 4 times the memory that it may use, how fast?

The file is MNIST's 50,000 training digits, moved 8 ways, as 400,000 rows of float32: 1,254 MB,
mapped; with a little noise, as zeros would be left out of what is not in windows.  784-30-10,
cross-entropy, mini-batch 10, two epochs, eta 0.5 and then 0.05, one thread.  The limit is that
of a control group, which counts the kernel's cached pages of the file, too: whoever visits all
rows in one random order then waits for the disk at nearly every row, and is cut off; told that
it is read at random, the kernel reads one page each time, and not as much as its read-ahead.
Windows are a fifth of the limit.  A second file has the same rows sorted by class, which no
file should be.

As no bit depends on the memory, which the runs that are timed confirm, how many digits are read
rightly is found without a limit, for every seed.  Where no control group can be made, nothing
is measured.
"""

import json
import mmap
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from harness import one_thread, options, report

import bpnet
from bpnet import network2, training, watching

MOVES = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1)]
NOISE = np.float32(0.1)
ETA = 0.5, 0.05
CUT_OFF = 10.0  # seconds


def main():
    one_thread()
    parser = options(__doc__, turns=3)
    parser.add_argument("--seeds", type=int, default=10, help="of networks (default: 10)")
    parser.add_argument("--folder", help="where the files go for a while (default: temporary)")
    arguments = parser.parse_args()
    group = control_group()
    if group is None:
        print("skipped: no control group can be made here (Linux, as root)")
        return
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        measure(arguments, folder, group)
    finally:
        shutil.rmtree(folder)
        group[0].rmdir()


def measure(arguments, folder, group):
    digits = make_files(folder, arguments.data)
    size = (folder / "x.npy").stat().st_size
    limit, n = size // 4, len(digits)
    window = limit // 5 // (size // n)
    jobs = {  # file, rows of a window, whether there is a limit
        "all rows": ("", None, False),
        "windows": ("", window, True),
        "all rows, limited": ("", None, True),
        "all rows, at random": ("", None, True),
        "windows, sorted": ("sorted-", window, True),
    }
    names = {None: "all rows", window: f"windows of {window:,}"}
    rows = []
    for name, (file, window, limited) in jobs.items():
        cut = CUT_OFF if limited and window is None else None
        at_random = name == "all rows, at random"
        timed = [
            child(
                folder,
                file,
                window,
                seed,
                arguments.data,
                group,
                limit * limited,
                cut,
                at_random,
            )
            for seed in range(1, 1 + (1 if cut else arguments.turns))
        ]
        rate = statistics.median(rate for run in timed for rate in run["rows/s"])
        rows.append(
            {
                "order": names[window] + ", told so" * at_random,
                "file": "sorted by class" if file else "as made",
                "memory": f"{limit / 1e6:.0f} MB" if limited else "no limit",
                "timed": timed,
                "rows/s": f"{rate:,.0f}",
                "MB/s": rate * size / n / 1e6,
                "RssAnon, MB": max(run["RssAnon"] for run in timed) / 1e3,
                "read before, s": statistics.median(run["before"] for run in timed),
            }
        )
    for row, (file, window, _) in zip(rows, jobs.values()):
        right, timed = [], row.pop("timed")
        for seed in range(1, 1 + arguments.seeds):
            if window is None and row["memory"] != "no limit":
                break  # cut off
            run = child(folder, file, window, seed, arguments.data, group)
            right.append(run["right"])
            assert seed > len(timed) or timed[seed - 1]["bits"] == run["bits"]
        row["right, %"] = statistics.mean(right) if right else "-"
        row["of the seeds"] = f"{min(right):.2f} to {max(right):.2f}" if right else "-"
    report(
        f"784-30-10 on {n:,} moved digits in a mapped file of {size / 1e6:,.0f} MB",
        rows,
        arguments.save,
        turns=arguments.turns,
        seeds=arguments.seeds,
        limit_mb=limit / 1e6,
        cut_off_s=CUT_OFF,
        read_ahead_kb=read_ahead(folder),
    )


def make_files(folder, data):
    """Write the moved digits as they come, move by move, and sorted by class; return labels."""
    (x, y), *_ = bpnet.mnist_loader.load_data(data)
    n, labels = len(x), np.tile(y, len(MOVES))
    shape, rng = (len(labels), x.shape[1]), np.random.default_rng(0)
    rows = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, shape)
    for k, move in enumerate(MOVES):
        moved = np.roll(x.reshape(-1, 28, 28), move, (1, 2))
        rows[k * n : (k + 1) * n] = moved.reshape(n, -1) + NOISE * rng.random(x.shape, "f4")
    rows.flush()
    order = np.argsort(labels, kind="stable")
    by_class = np.lib.format.open_memmap(folder / "sorted-x.npy", "w+", np.float32, shape)
    for begin in range(0, len(order), n):
        by_class[begin : begin + n] = rows[order[begin : begin + n]]
    by_class.flush()
    np.save(folder / "y.npy", labels)
    np.save(folder / "sorted-y.npy", labels[order])
    return labels


def read_ahead(folder):
    """Return how much the kernel reads where a page is missing, in kB; None if not known."""
    device = os.stat(folder).st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    for queue in (
        path / "queue",
        path.resolve().parent / "queue",
    ):  # of a disk, of a part of it
        if (queue / "read_ahead_kb").exists():
            return int((queue / "read_ahead_kb").read_text())
    return None


def control_group():
    """Return (a new control group, its file of the limit), or None if there can be none."""
    for top, file in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        group = Path(top) / f"bpnet-larger-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if os.access(group / file, os.W_OK):
            return group, group / file
        group.rmdir()
    return None


def child(folder, file, window, seed, data, group, limit=0, cut=None, at_random=False):
    """Return what a process says that trains from a cold file, under a limit unless it is 0."""
    arguments = [str(folder), file, window, seed, data, cut, at_random]
    if limit:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        group[1].write_text(str(limit))
        arguments.append(str(group[0] / "cgroup.procs"))
    command = [sys.executable, __file__, "child", json.dumps(arguments)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


class CutOffError(Exception):
    """It takes too long."""


def train(folder, file, window, seed, data, cut, at_random, procs=None):
    """Train a network, under the limit of a control group; print what came of it."""
    if procs:
        Path(procs).write_text(str(os.getpid()))
    x, y = (np.load(f"{folder}/{file}{name}.npy", mmap_mode="r") for name in "xy")
    net = network2.Network([784, 30, 10], seed=seed, dtype="float32")
    said, visited = {}, 0

    class Watch(watching.Watch):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.begun = time.perf_counter()
            if at_random:
                x._mmap.madvise(mmap.MADV_RANDOM)
            self.advance = self.count if cut else None

        def count(self, done):
            nonlocal visited
            visited += done
            seconds = time.perf_counter() - self.begun
            if seconds > cut:
                said["rows/s"] = [visited / seconds]
                raise CutOffError

    training.Watch = Watch
    start = time.perf_counter()
    options = (
        {"verbose": False} if window is None else {"verbose": False, "shuffle_rows": window}
    )
    try:
        net.SGD((x, y), len(ETA), 10, lambda epoch: ETA[epoch], **options)
        seconds = [record["seconds"] for record in net.history]
        said["rows/s"] = [len(x) / each for each in seconds]
    except CutOffError:
        seconds = [cut]
    said["before"] = time.perf_counter() - start - sum(seconds)
    with open("/proc/self/status") as lines:
        said["RssAnon"] = next(int(s.split()[1]) for s in lines if s.startswith("RssAnon"))
    said["faults"] = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    said["bits"] = zlib.crc32(b"".join(w.tobytes() for w in net.weights))
    x, y = bpnet.mnist_loader.load_data(data)[2]
    said["right"] = 100 * net.accuracy([(row[:, None], i) for row, i in zip(x, y)]) / len(y)
    print(json.dumps(said))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        train(*json.loads(sys.argv[2]))
    else:
        main()
