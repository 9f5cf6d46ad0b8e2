"""What does each keyword of SGD cost, beside an epoch of the tutorial's job without any?

784-30-10, mini-batch 10, eta 0.5, cross-entropy, 50,000 digits, packed before; some epochs in
one call, each way of calling in turn.
"""

import functools
import os
import statistics
import tempfile

from harness import alternate, one_thread, options, report, summary

import bpnet
from bpnet import mnist_loader, network2

EPOCHS = 5


def main():
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of the core (default: 1)")
    arguments = parser.parse_args()
    one_thread(bind=arguments.threads == 1)
    sets = mnist_loader.load_data(arguments.data)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float64", "float32"):
            training, validation = (bpnet.Dataset(part, dtype=dtype) for part in sets[:2])
            calls = {
                name: functools.partial(run, dtype, training, arguments.threads, keywords)
                for name, keywords in ways(validation, folder).items()
            }
            seconds = alternate(calls, arguments.turns)
            base = statistics.median(seconds["nothing"])
            for name in calls:
                each = [second / EPOCHS for second in seconds[name]]
                rows.append(
                    {
                        "keywords": name,
                        "dtype": dtype,
                        **summary(each, "epoch, s"),
                        "more, epochs": statistics.median(seconds[name]) / base - 1,
                    }
                )
    report(
        f"784-30-10, {EPOCHS} epochs a call, {arguments.threads} thread(s), {arguments.turns} "
        "turns",
        rows,
        arguments.save,
        threads=arguments.threads,
    )


def ways(validation, folder):
    """Return the keywords of each way to call SGD."""
    return {
        "nothing": {},
        "again": {},  # what two equal ways differ by
        "accuracy": {"evaluation_data": validation, "monitor_evaluation_accuracy": True},
        "all four monitors": {
            "evaluation_data": validation,
            "monitor_evaluation_accuracy": True,
            "monitor_evaluation_cost": True,
            "monitor_training_accuracy": True,
            "monitor_training_cost": True,
        },
        "min_update, max_seconds, callback": {
            "min_update": 1e-9,
            "max_seconds": 1e9,
            "callback": lambda net, epoch: False,
        },
        "checkpoint": {"checkpoint": os.path.join(folder, "run.npz")},
        "lmbda": {"lmbda": 5.0},
        "l1": {"l1": 0.5},
        "mu": {"mu": 0.5},
        "lmbda, l1 and mu": {"lmbda": 5.0, "l1": 0.5, "mu": 0.5},
    }


def run(dtype, training, n_threads, keywords):
    net = network2.Network([784, 30, 10], dtype=dtype, seed=1)
    keywords = {"verbose": False, "n_threads": n_threads, **keywords}
    net.SGD(training, EPOCHS, 10, 0.5, **keywords)


if __name__ == "__main__":
    main()
