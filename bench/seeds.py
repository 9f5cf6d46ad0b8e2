"""How far does the tutorial's job get, from one draw of the initial weights to another?

784-30-10, mini-batch 10, eta 3.0, 30 epochs; the seconds are those of the whole call of SGD.
"""

import argparse
import contextlib
import io
import statistics
import time

from harness import report

from bpnet import Network, mnist_loader


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float64", help="float64 (default) or float32")
    parser.add_argument("--seeds", type=int, default=30, help="from 1 on (default: 30)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training_data, _, test_data = mnist_loader.load_data_wrapper(arguments.data)
    rows = []
    for seed in range(1, arguments.seeds + 1):
        net = Network([784, 30, 10], seed=seed, dtype=arguments.dtype)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            net.SGD(list(training_data), 30, 10, 3.0, test_data=test_data)
        seconds = time.perf_counter() - start
        accuracy = 100 * net.evaluate(test_data) / len(test_data)
        rows.append({"seed": seed, "seconds": seconds, "accuracy, %": accuracy})
    found = [row["accuracy, %"] for row in rows]
    median = statistics.median(found)
    report(
        f"30 epochs of 784-30-10 on {len(training_data)} examples, {arguments.dtype}, "
        f"1 thread: accuracy {min(found):.2f} to {max(found):.2f} %, median {median:.2f} %",
        rows,
        arguments.save,
        dtype=arguments.dtype,
        threads=1,
        median=median,
    )


if __name__ == "__main__":
    main()
