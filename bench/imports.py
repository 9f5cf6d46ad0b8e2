"""How long does ``import bpnet`` take, beyond ``import numpy``?

Each import runs in a fresh interpreter that times itself; the starts of Python do not count.
"""

import os
import statistics
import subprocess
import sys

from harness import alternate, options, report, summary


def main():
    arguments = options(__doc__, turns=21).parse_args()
    contestants = {
        name: lambda name=name: seconds_to_import(name) for name in ("numpy", "bpnet")
    }
    seconds = alternate(contestants, arguments.turns)
    seconds["bpnet less numpy"] = [
        bpnet - numpy for numpy, bpnet in zip(seconds["numpy"], seconds["bpnet"])
    ]
    rows = [
        {"import": name, **summary(runs, "ms", unit=1e-3)} for name, runs in seconds.items()
    ]
    more = statistics.median(seconds["bpnet less numpy"]) * 1e3
    report(
        f"import bpnet takes {more:.1f} ms more than import numpy",
        rows,
        arguments.save,
        turns=arguments.turns,
    )


def seconds_to_import(module):
    """Return the seconds that importing takes in a fresh interpreter, compiled already."""
    code = f"from time import perf_counter as now; t = now(); import {module}; print(now() - t)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # the warm-up compiles it
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=-1, env=environment)
    return float(done.stdout)


if __name__ == "__main__":
    main()
