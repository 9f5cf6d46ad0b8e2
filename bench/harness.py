"""What every benchmark shares: contestants in turn, medians, one table and one JSON line."""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import time

import numpy as np

import bpcore
import bpnet

try:
    import resource
except ImportError:  # not on Windows
    resource = None


def can_draw():
    """Whether matplotlib is there, which then draws to files alone; if not, say so."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib: skipped, not installed")
        return False
    matplotlib.use("Agg")
    return True


def options(doc, turns=7):
    """Return a parser of the options that benchmarks share; doc is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument(
        "--turns", type=int, default=turns, help=f"of each contestant (default: {turns})"
    )
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    return parser


def one_thread(bind=True):
    """Start this script again where BLAS, OpenMP and XLA use one thread; bind it to a CPU."""
    wanted = {
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    }
    if any(os.environ.get(key) != value for key, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if bind and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def alternate(contestants, repeats):
    """Return {name: seconds of each run}, the contestants called in turn, after a warm-up.

    contestants maps names to functions of no argument; the machine's drift meets all alike.
    A function that times itself returns its seconds.
    """
    seconds = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            timed_itself = run()
            elapsed = time.perf_counter() - start
            if repeat:
                seconds[name].append(elapsed if timed_itself is None else timed_itself)
    return seconds


def printed(run):
    """Call run; return the lines that it prints, and the seconds from the call to each."""
    stdout = _Lines()
    with contextlib.redirect_stdout(stdout):
        run()
    return stdout.lines, stdout.seconds


class _Lines(io.TextIOBase):
    def __init__(self):
        self.lines, self.seconds = [], []
        self.start = time.perf_counter()

    def write(self, text):
        """Take one print's text, or the end of its line."""
        if text != "\n":
            self.lines.append(text)
            self.seconds.append(time.perf_counter() - self.start)
        return len(text)


def peak_memory():
    """Return the most memory that this process has had so far, in MB; None if not known."""
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def memory():
    """Return the memory that this process has now, in MB; None if not known."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return None


def machine():
    """Return what a figure depends on: CPU, cores, engine, compiler, versions."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "engine": bpcore.engine("float64").isa,
        "compiler": bpcore.compiler(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "bpnet": bpnet.__version__,
    }


def _cpu():
    try:
        with open("/proc/cpuinfo") as lines:
            fields = dict(
                line.split(":", 1) for line in lines.read().split("\n") if ":" in line
            )
        names = {key.strip(): value.strip() for key, value in fields.items()}
        return "{model name}, family {cpu family} model {model}".format(**names)
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def summary(seconds, name="epoch, s", unit=1.0):
    """Return the columns of a time: median, least and most of some runs."""
    return {
        name: statistics.median(seconds) / unit,
        "least": min(seconds) / unit,
        "most": max(seconds) / unit,
    }


def report(question, rows, save=None, **facts):
    """Print the rows, dicts of the same keys, as a table, and all of it as one JSON line."""
    print(question)
    print("; ".join(f"{key} {_text(value)}" for key, value in {**machine(), **facts}.items()))
    cells = [[_text(value) for value in row.values()] for row in rows]
    header = list(rows[0])
    widths = [max(map(len, column)) for column in zip(header, *cells)]
    for line in (header, *cells):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
    record = json.dumps({"question": question, **machine(), **facts, "rows": rows})
    print(record, flush=True)
    if save:
        with open(save, "w") as file:
            file.write(record + "\n")


def _text(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
