"""What are the tables of README.md and of the pages in docs/?  Printed from bench/results.

Nothing is measured here; tests/test_docs.py compares the printed tables with the pages.
"""

import json
import pathlib

DTYPES = ("float64", "float32")

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
    "neurons": {
        "training accuracy, %": 2,
        "validation accuracy, %": 2,
        "test accuracy, %": 2,
        "seconds": 1,
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
    tables += [best(), estimators()]
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


def best():
    """Return the presets' medians."""
    found = record("best")
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
    ]
    header = ["preset", "network", "dtype", "threads", "training, s", "validation", "test"]
    return markdown(header, rows)


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
