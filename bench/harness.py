"""What every benchmark shares: contestants in turn, medians, one table and one JSON line."""

import json
import os
import platform
import statistics
import time

import numpy as np

import bpcore
import bpnet


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


def summary(seconds):
    """Return median, least and most of some runs."""
    return {
        "median": statistics.median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "runs": len(seconds),
    }


def report(question, rows, **facts):
    """Print the rows, dicts of the same keys, as a table, and all of it as one JSON line."""
    print(question)
    print("; ".join(f"{key} {value}" for key, value in machine().items()))
    cells = [[_text(value) for value in row.values()] for row in rows]
    header = list(rows[0])
    widths = [max(map(len, column)) for column in zip(header, *cells)]
    for line in (header, *cells):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
    print(json.dumps({"question": question, **machine(), **facts, "rows": rows}), flush=True)


def _text(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
