"""Where does the README's picture of the speed come from?  From bench/results, by matplotlib.

Draws docs/performance.png: the seconds of an epoch of the tutorial's job, system by system,
float32 and float64.  Nothing is measured here.
"""

import argparse
import json
import pathlib

from harness import can_draw

TOP = pathlib.Path(__file__).resolve().parents[1]
OURS, THEIRS, INK = "#D55E00", "#8FA3B3", "#22303C"  # told apart by any eye, and in grey


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=pathlib.Path, default=TOP / "bench" / "results")
    parser.add_argument("--save", default=TOP / "docs" / "performance.png")
    arguments = parser.parse_args()
    if not can_draw():
        return
    import matplotlib.pyplot as plt

    peers = json.loads((arguments.results / "peers.json").read_text())
    epoch = json.loads((arguments.results / "epoch.json").read_text())
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.3), sharey=True, sharex=True, dpi=160)
    dots = {dtype: seconds(peers, epoch, dtype) for dtype in ("float32", "float64")}
    systems = sorted(dots["float64"], key=dots["float64"].get)
    least = min(min(found.values()) for found in dots.values()) / 1.6
    for panel, (dtype, found) in zip(panels, dots.items()):
        draw(panel, dtype, [(system, found.get(system)) for system in systems], least)
    figure.suptitle(
        "Seconds per epoch of the tutorial's job, one thread (logarithmic; left is faster)",
        x=0.012,
        ha="left",
        color=INK,
        fontsize=12.5,
        fontweight="bold",
    )
    figure.text(0.012, 0.016, caption(peers, epoch), color=INK, fontsize=7.6, va="bottom")
    figure.subplots_adjust(left=0.218, right=0.985, top=0.835, bottom=0.145, wspace=0.06)
    figure.savefig(arguments.save, facecolor="white")
    print(arguments.save)


def seconds(peers, epoch, dtype):
    """Return {system: seconds per epoch} of one dtype."""
    found = {row["system"]: row["epoch, s"] for row in peers["rows"] if row["dtype"] == dtype}
    for row in epoch["rows"]:
        if not row["system"].startswith("bpnet") and row["dtype"] == dtype:
            whole = row[f"{epoch['epochs']} epochs, s"]
            found["the tutorial's algorithm\n(NumPy, an example at a time)"] = (
                whole / epoch["epochs"]
            )
    return found


def draw(panel, dtype, dots, least):
    """Draw one dtype's times as dots, the fastest at the top; None: no such time.

    A logarithmic axis has no 0 for a bar to begin at: its length would mean nothing.
    """
    panel.set_xscale("log")
    panel.set_xlim(least, 30)
    for i, (system, value) in enumerate(dots):
        ours = system == "bpnet"
        if value is None:
            panel.text(least * 1.1, i, "float64 only", va="center", color=INK, fontsize=8.5)
            continue
        panel.plot(value, i, "o", markersize=10, color=OURS if ours else THEIRS)
        times = "" if ours else f"   {value / dict(dots)['bpnet']:.3g}\N{MULTIPLICATION SIGN}"
        text = f"{value:.3f} s{times}" if value < 1 else f"{value:.2f} s{times}"
        panel.annotate(
            text,
            (value, i),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
            fontweight="bold" if ours else "normal",
        )
    panel.set_yticks(range(len(dots)), [system for system, _ in dots], fontsize=9.5)
    for label in panel.get_yticklabels():
        label.set_weight("bold" if label.get_text() == "bpnet" else "normal")
    panel.set_ylim(len(dots) - 0.45, -0.55)
    panel.set_title(dtype, loc="left", fontsize=10.5, color=INK)
    panel.set_xticks([0.1, 1, 10], ["0.1", "1", "10 s"], fontsize=8.5)
    panel.minorticks_off()
    panel.grid(color="#E6EAEE", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0, colors=INK)
    for spine in panel.spines.values():
        spine.set_visible(False)


def caption(peers, epoch):
    """Return what was measured and where."""
    versions = ", ".join(
        f"{name} {peers[key]}"
        for name, key in (
            ("bpnet", "bpnet"),
            ("NumPy", "numpy"),
            ("JAX", "jax"),
            ("PyTorch", "torch"),
            ("scikit-learn", "scikit-learn"),
        )
        if key in peers
    )
    right = [row["accuracy, %"] for row in peers["rows"]]
    return (
        f"784-30-10, mini-batch 10: {peers['training_examples']:,} digits of MNIST, and "
        f"evaluation on 10,000: {min(right):.1f} to {max(right):.1f} % right.  Medians of "
        f"{peers['turns']} turns.  \N{MULTIPLICATION SIGN}: as long as bpnet in this dtype.\n"
        f"{peers['cpu']}, {peers['engine']}; {peers['compiler']}; {versions}.  "
        f"bench/results/peers.json, epoch.json"
    )


if __name__ == "__main__":
    main()
