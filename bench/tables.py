"""What are the tables of README.md and docs/performance.md?  Printed from bench/results.

Nothing is measured here; tests/test_docs.py compares the printed tables with the pages.
"""

import json
import pathlib

RESULTS = pathlib.Path(__file__).resolve().with_name("results")


def main():
    for table in (epoch(), peers(), ladder("ladder"), ladder("ladder-random")):
        print("\n".join(table), end="\n\n")


def record(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def markdown(header, rows):
    """Return the lines of a table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def epoch():
    """Return the tutorial's job: bpnet and the reference."""
    found = record("epoch")
    epochs = found["epochs"]
    common = next(key for key in found["rows"][0] if key.startswith("% right after"))
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
                f"{row['times the reference']:.0f}",
                percent(row[common]),
                percent(row[f"after {epochs}"]),
            ]
        )
    header = ["", "dtype", "threads", f"{epochs} epochs, s (range)", "times the reference"]
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


def rate(row):
    return f"{row['GFLOP/s']:.0f}" if row else "-"


def percent(value):
    return "-" if value is None else f"{value:.2f} %"


if __name__ == "__main__":
    main()
