"""How does the time of an epoch change with n_threads, and do the results stay the same bits?

MNIST, from the tutorial's network to a large one, 1, 2, ... threads up to the number of cores;
an epoch is training only.  The tutorial's network starts as in the tutorial, the wider ones
with weights divided by sqrt(n_in); those of 512 and 2048 neurons see too few examples to learn
much.  All counts of one shape train the same network through the same epochs, and end with the
same bits in every output, or the table says "NO".
"""

import os
import statistics

import contestants
from harness import alternate, options, report, summary
from peers import arrays

LADDER = [  # sizes, mini-batch, most examples, eta
    ([784, 30, 10], 10, 50000, 3.0),
    ([784, 30, 10], 100, 50000, 3.0),
    ([784, 100, 10], 10, 50000, 0.5),
    ([784, 512, 512, 10], 128, 6400, 0.1),
    ([784, 2048, 2048, 10], 256, 1280, 0.1),
]
TESTED = 1000  # examples, after the last epoch
EPOCHS = 3  # in each turn, the first of them, where data is packed, not counted


def main():
    parser = options(__doc__)
    parser.add_argument(
        "--rungs", type=int, nargs="*", default=range(len(LADDER)), help="some, 0 to 4"
    )
    arguments = parser.parse_args()
    (x, y), _, (test_x, labels) = arrays(arguments.data)
    rows = []
    for dtype in ("float32", "float64"):
        for rung in arguments.rungs:
            sizes, mini_batch_size, n, eta = LADDER[rung]
            job = contestants.Job(
                sizes,
                mini_batch_size,
                eta,
                x[:n].astype(dtype),
                y[:n].astype(dtype),
                scaled=rung >= 2,
            )
            test = test_x[:TESTED].astype(dtype), labels[:TESTED]
            rows += shape(job, test, arguments.turns)
    report(
        f"One epoch of training by number of threads; accuracy on {TESTED} examples after "
        f"{EPOCHS * (arguments.turns + 1)} epochs",
        rows,
        arguments.save,
        turns=arguments.turns,
    )


def shape(job, test, turns):
    """Return the table's rows of one network."""
    counts = range(1, (os.cpu_count() or 1) + 1)
    found = {count: contestants.bpnet_turns(job, EPOCHS, count) for count in counts}
    seconds = alternate({count: turn for count, (turn, _) in found.items()}, turns)
    counted = {count: [statistics.mean(s[1:]) for s in seconds[count]] for count in counts}
    outputs = {count: feedforward(test[0]) for count, (_, feedforward) in found.items()}
    return [
        {
            "sizes": "-".join(map(str, job.sizes)),
            "mini-batch": job.mini_batch_size,
            "examples": len(job.x),
            "dtype": job.dtype.name,
            "threads": count,
            **summary(counted[count]),
            "times faster": statistics.median(counted[1]) / statistics.median(counted[count]),
            "accuracy, %": 100.0 * float((outputs[count].argmax(axis=1) == test[1]).mean()),
            "same bits": "yes" if outputs[count].tobytes() == outputs[1].tobytes() else "NO",
        }
        for count in counts
    ]


if __name__ == "__main__":
    main()
