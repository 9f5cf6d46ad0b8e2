"""What are the tables of README.md and of the pages in docs/?  Printed from bench/results.

Nothing is measured here; tests/test_docs.py compares the printed tables with the pages.
"""

import json
import pathlib

DTYPES = ("float64", "float32")
PRESETS = ("tutorial", "best", "minute", "hour")  # of bpnet train, to learn digits

# Records that are shown as they are, and the digits after the point of their figures.
PAGES = {
    "initial-weights": {"after 1 epoch, %": 2, "after 30, %": 2, "worst": 2, "best": 2},
    "overfitting": {
        "training accuracy, %": 1,
        "test accuracy, %": 2,
        "test cost": 2,
        "seconds": 1,
    },
    "redrawn": {"right, %": 1},
    "tried": {"validation, %": 2, "worst": 2, "best": 2},
    "larger": {
        "MB/s": 1,
        "RssAnon, MB": 0,
        "read before, s": 1,
        "right, %": 2,
    },
    "neurons": {
        "validation accuracy, %": 2,
        "of the worst seed": 2,
        "of the best": 2,
        "seconds a network": 1,
    },
    "search": {
        **dict.fromkeys(("95 %, s", "96 %, s", "97 %, s", "97.5 %, s"), 1),
        **dict.fromkeys(("in all, s", "least", "most"), 1),
        "best, %": 2,
    },
    "engines": {"to start, s": 1, "beside training, ms": 1, "27 settings, s": 1},
}

RESULTS = pathlib.Path(__file__).resolve().with_name("results")


def main():
    tables = [epoch(), peers(), ladder("ladder"), ladder("ladder-random"), keywords()]
    tables += [
        best("best", PRESETS),
        best(),
        best("fashion"),
        best("few"),
        distort(),
        ahead(),
        race(),
        estimators(),
        data_parallel(),
        data_parallel_beyond(),
    ]
    for table in (*tables, *(page(name) for name in PAGES)):
        print("\n".join(table), end="\n\n")


def record(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def markdown(header, rows):
    """Return the lines of a table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def epoch():
    """Return the tutorial's job: bpnet, and what it is compared with."""
    found = record("epoch")
    epochs = found["epochs"]
    common = next(key for key in found["rows"][0] if key.startswith("% right after"))
    times = next(key for key in found["rows"][0] if key.startswith("times the"))
    rows = []
    for row in sorted(found["rows"], key=lambda row: (row["system"], -int(row["dtype"][-2:]))):
        digits = 2 if row["system"] == "bpnet" else 1
        rows.append(
            [
                row["system"],
                row["dtype"],
                str(row["threads"]),
                f"{row[f'{epochs} epochs, s']:.{digits}f} "
                f"({row['least']:.{digits}f}-{row['most']:.{digits}f})",
                f"{row[times]:.0f}",
                percent(row[common]),
                percent(row[f"after {epochs}"]),
            ]
        )
    header = ["", "dtype", "threads", f"{epochs} epochs, s (range)", times]
    return markdown([*header, common.replace("% ", ""), f"after {epochs}"], rows)


def peers():
    """Return an epoch and its evaluation, system by system."""
    systems = {}
    for row in record("peers")["rows"]:
        systems.setdefault(row["system"], {})[row["dtype"]] = row
    rows = []
    for system, found in systems.items():
        cells = [system]
        for dtype in ("float64", "float32"):
            cells += [f"{found[dtype]['epoch, s']:.3f}", f"{found[dtype]['times bpnet']:.1f}"]
        cells.append(", ".join(percent(found[dtype]["accuracy, %"]) for dtype in found))
        rows.append(cells)
    header = ["system", "float64, s", "times bpnet", "float32, s", "times bpnet"]
    return markdown([*header, "accuracy, float32 and float64"], rows)


def ladder(name):
    """Return GFLOP/s by shape and system."""
    shapes = {}
    for row in record(name)["rows"]:
        shape = row["sizes"], str(row["mini-batch"]), str(row["threads"])
        shapes.setdefault(shape, {})[row["system"]] = row
    systems = ["bpnet", "C loop over OpenBLAS", "NumPy, whole mini-batches"]
    systems.append("its products alone")
    rows = [
        [
            *shape,
            *[rate(found.get(system)) for system in systems],
            f"{found['bpnet']['of the peak, %']:.0f} %",
        ]
        for shape, found in shapes.items()
    ]
    header = ["network", "mini-batch", "threads", "bpnet, GFLOP/s", "C loop", "NumPy"]
    return markdown([*header, "products alone", "share of the peak"], rows)


def keywords():
    """Return what keywords of SGD cost, in epochs."""
    found = {}
    for row in record("keywords")["rows"]:
        found.setdefault(row["keywords"], {})[row["dtype"]] = row
    rows = [
        [
            name,
            *(
                f"{1000 * found[name][dtype]['epoch, s']:.1f} "
                f"({100 * found[name][dtype]['more, epochs']:+.0f} %)"
                for dtype in DTYPES
            ),
        ]
        for name in found
    ]
    return markdown(["keywords", *(f"{dtype}, ms an epoch" for dtype in DTYPES)], rows)


def best(name="best", presets=None):
    """Return the medians of some presets, or of all, and of what they are compared with."""
    found = record(name)
    settings = {row["preset"]: row for row in found["rows"]}
    rows = [
        [
            preset,
            settings[preset]["sizes"],
            settings[preset]["dtype"],
            str(settings[preset]["threads"]),
            f"{medians['training, s']:.1f}",
            percent(medians["validation, %"]),
            percent(medians["test, %"]),
        ]
        for preset, medians in found["medians"].items()
        if preset in (presets or found["medians"])
    ]
    header = ["preset", "network", "dtype", "threads", "training, s", "validation", "test"]
    return markdown(header, rows)


def distort():
    """Return the seconds of distorting the digits."""
    rows = [
        [row["system"], row["dtype"], str(row["threads"]), f"{row['s']:.2f}"]
        for row in record("distort")["rows"]
    ]
    return markdown(["system", "dtype", "threads", "s"], rows)


def ahead():
    """Return the seconds of an epoch on examples made when needed, and ahead."""
    found = record("distort")["epochs"]
    rows = [
        [
            later["network"],
            str(later["threads"]),
            f"{later['epoch, s']:.2f}",
            f"{sooner['epoch, s']:.2f}",
            f"{100 * (sooner['epoch, s'] / later['epoch, s'] - 1):+.0f} %",
        ]
        for later, sooner in zip(found[::2], found[1::2])
    ]
    return markdown(["network", "threads", "made when needed", "made ahead", ""], rows)


def race():
    """Return what a search printed, as a block."""
    return [f"    {line}" for line in record("neurons")["race"]]


def estimators():
    """Return whole fits beside scikit-learn's, and how much sooner what else is done."""
    found = {}
    for row in record("estimators")["rows"]:
        found.setdefault(row["job"], {})[row["what"], row["dtype"], row["system"]] = row
    rows = []
    for job, cells in found.items():
        mine, theirs = (cells["fit", "float64", name] for name in ("bpnet", "scikit-learn"))
        sooner = {
            what: [f"{cells[what, dtype, 'bpnet']['times faster']:.1f}" for dtype in DTYPES]
            for what in ("fit", "partial_fit", "predict all", "predict one")
        }
        rows.append(
            [
                job,
                f"{theirs['s']:.3f}",
                f"{mine['s']:.3f}",
                *(", ".join(pair) for pair in sooner.values()),
                str(mine["epochs"]),
                f"{mine['score']:.3f}",
            ]
        )
    header = ["fit of", "scikit-learn, s", "bpnet, s", "times faster, float64 and float32"]
    more = ["`partial_fit`", "`predict`", "of one row", "epochs", "score"]
    return markdown(header + more, rows)


def data_parallel():
    """Return a step on ranks and in one process, and what of it is what."""
    rows = [
        [
            row["network"],
            str(row["mini-batch"]),
            row["how"],
            f"{row['step, ms']:.3g} ({row['least']:.3g}-{row['most']:.3g})",
            *(
                "-" if row[f"{part}, ms"] is None else f"{row[f'{part}, ms']:.3g}"
                for part in ("gradient", "sum", "load")
            ),
        ]
        for row in record("data_parallel")["rows"]
    ]
    header = ["network", "mini-batch", "", "step, ms (range)", "gradient", "sum", "load"]
    return markdown(header, rows)


# A network between machines: seconds before the first byte of a message, bytes a second.
NETS = {"1 Gbit/s": (100e-6, 125e6), "10 Gbit/s": (50e-6, 1.25e9), "100 Gbit/s": (5e-6, 12.5e9)}


def data_parallel_beyond():
    """Return how many times faster than one process R machines would be, by the model:

    gradient / R + (8 / R - 1) additions + log2 R (a message + an addition) + all else, each as
    1 rank took; a message takes its latency and bytes / bandwidth.  One thread a machine.
    """
    found = {}
    for row in record("data_parallel")["rows"]:
        found.setdefault((row["network"], row["mini-batch"]), {})[row["how"]] = row
    rows = []
    for (network, m), ways in found.items():
        alone, rank = ways["one process, 1 thread"]["step, ms"], ways["1 rank"]
        sizes = list(map(int, network.split("-")))
        size = 4 * sum(n_out * (n_in + 1) for n_in, n_out in zip(sizes, sizes[1:]))
        addition = rank["sum, ms"] / 7
        for net, (latency, bandwidth) in NETS.items():
            speeds = []
            for doublings in (1, 2, 3):
                ranks = 2**doublings
                message = 1e3 * (latency + size / bandwidth)
                rest = rank["step, ms"] - rank["gradient, ms"] - rank["sum, ms"]
                additions = 8 / ranks - 1 + doublings
                step = rank["gradient, ms"] / ranks + additions * addition + doublings * message
                speeds.append(f"{alone / (step + rest):.2g}")
            rows.append([network, str(m), net, f"{message:.2g}", *speeds])
    header = ["network", "mini-batch", "net", "message, ms", "2 machines", "4", "8"]
    return markdown(header, rows)


def page(name):
    """Return the rows of a record as they are, figures to the digits of PAGES."""
    digits = PAGES[name]
    rows = record(name)["rows"]
    return markdown(
        list(rows[0]),
        [
            [
                f"{value:.{digits.get(key, 0)}f}" if isinstance(value, float) else text(value)
                for key, value in row.items()
            ]
            for row in rows
        ],
    )


def text(value):
    return "-" if value is None else str(value)


def rate(row):
    return f"{row['GFLOP/s']:.0f}" if row else "-"


def percent(value):
    return "-" if value is None else f"{value:.2f} %"


if __name__ == "__main__":
    main()
