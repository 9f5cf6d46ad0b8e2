"""How long is the tutorial's call of SGD, in bpnet and in the book's own text?

784-30-10, mini-batch 10, eta 3.0, 30 epochs, evaluated after each; the list of tuples that
``load_data_wrapper`` gives.  The seconds are those of the whole call, packing the data
included; each turn of bpnet trains a new network from seed 1.  The text, ``original.py``, takes
minutes: it goes on with one network, a few epochs in each turn, and its seconds are scaled to
the whole call.  The peak memory is that of the process when the contestant has run for the
first time.
"""

import random
import time

import numpy as np
import original
from harness import alternate, options, peak_memory, printed, report, summary

from bpnet import Network, mnist_loader


def main():
    parser = options(__doc__)
    parser.add_argument("--epochs", type=int, default=30, help="of bpnet (default: 30)")
    parser.add_argument(
        "--original-epochs", type=int, default=2, help="of the original a turn (default: 2)"
    )
    arguments = parser.parse_args()
    training_data, _, test_data = mnist_loader.load_data_wrapper(arguments.data)
    epochs, original_epochs = arguments.epochs, arguments.original_epochs

    np.random.seed(1)  # and so the same start and the same shuffles as bpnet's seed=1
    random.seed(1)
    net, pairs = original.Network([784, 30, 10]), list(training_data)
    correct, packing, memory = {}, {}, {"before": peak_memory()}

    def bpnet_turn(dtype, threads):
        name = ("bpnet", dtype, threads)
        start = time.perf_counter()
        net = Network([784, 30, 10], seed=1, dtype=dtype)
        net.SGD(training_data, 0, 10, 3.0, test_data=test_data, n_threads=threads)
        packing.setdefault(name, []).append(time.perf_counter() - start)
        examples = list(training_data)
        start = time.perf_counter()
        lines, _ = printed(
            lambda: net.SGD(examples, epochs, 10, 3.0, test_data=test_data, n_threads=threads)
        )
        seconds = time.perf_counter() - start
        correct[name] = [int(line.split()[2]) for line in lines]
        memory.setdefault(name, peak_memory())
        return seconds

    def original_turn():
        start = time.perf_counter()
        lines, _ = printed(
            lambda: net.SGD(pairs, original_epochs, 10, 3.0, test_data=test_data)
        )
        seconds = time.perf_counter() - start
        correct.setdefault(ORIGINAL, []).extend(int(line.split()[2]) for line in lines)
        memory.setdefault(ORIGINAL, peak_memory())
        return seconds * epochs / original_epochs

    contestants = {
        ("bpnet", dtype, threads): lambda dtype=dtype, threads=threads: bpnet_turn(
            dtype, threads
        )
        for dtype in ("float32", "float64")  # the peak of memory goes up
        for threads in (1, 2)
    }
    contestants[ORIGINAL] = original_turn
    seconds = alternate(contestants, arguments.turns)
    base = np.median(seconds[ORIGINAL])
    common = min(map(len, correct.values()))
    rows = []
    for name in contestants:
        system, dtype, threads = name
        accuracy = [100 * n / len(test_data) for n in correct[name]]
        rows.append(
            {
                "system": system if name != ORIGINAL else "original (scaled)",
                "dtype": dtype,
                "threads": threads,
                **summary(seconds[name], f"{epochs} epochs, s"),
                "packing, s": float(np.median(packing[name])) if name in packing else None,
                "times the original": float(base / np.median(seconds[name])),
                f"% right after {common}": accuracy[common - 1],
                f"after {epochs}": accuracy[-1] if name != ORIGINAL else None,
                "peak, MB": memory[name],
            }
        )
    report(
        f"{epochs} epochs of 784-30-10, batch 10, on {len(training_data)} examples, evaluated "
        f"on {len(test_data)} after each, in one call; the original ran {original_epochs} "
        f"a turn, scaled to {epochs}",
        rows,
        arguments.save,
        training_examples=len(training_data),
        turns=arguments.turns,
        epochs=epochs,
        original_epochs=original_epochs,
        peak_before_mb=memory["before"],
    )


ORIGINAL = ("original", "float64", 1)

if __name__ == "__main__":
    main()
