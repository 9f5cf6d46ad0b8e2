"""How many neurons, and how many layers, does the digit recognizer need?

Two searches: one trains every network of a list in full; the other lets 27 settings race, which
differ in the learning rate and the regularisation as well.
"""

import argparse

from harness import report

from bpnet import mnist_loader, search

HIDDEN = [(), (5,), (10,), (30,), (100,), (200,), (400,), (30, 30), (100, 100), (30, 30, 30)]
RACE = {
    "hidden": [(30,), (100,), (200,), (100, 100), (200, 200)],
    "eta": search.log(0.1, 1),
    "lmbda": search.log(0.5, 10),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="to train in (default: 2)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training, validation, test = mnist_loader.load_data(arguments.data)
    found, raced = (
        search.run((training, validation), n_threads=arguments.threads, **space)
        for space in ({"hidden": HIDDEN}, RACE)
    )
    report(
        f"networks of 18 epochs, mean and range of seeds 1-3, in {found.seconds:.0f} s, and a "
        f"race of 27 settings in {raced.seconds:.0f} s, on {arguments.threads} threads",
        list(map(shown, found.rows)),
        arguments.save,
        seconds=found.seconds,
        smallest=found.smallest.sizes[1:-1],
        race=str(raced).splitlines(),
        race_seconds=raced.seconds,
        race_checksum=f"{raced.checksum:08x}",
        race_test_accuracy=100 * raced.smallest.count(test) / len(test[1]),
    )


def shown(row):
    """Return what the page has of a row."""
    percent = [100 * row[key] for key in ("validation_accuracy", "lowest", "highest")]
    return {
        "hidden": "-".join(map(str, row["hidden"])) or "none",
        "parameters": row["parameters"],
        "validation accuracy, %": percent[0],
        "of the worst seed": percent[1],
        "of the best": percent[2],
        "seconds a network": row["seconds"],
    }


if __name__ == "__main__":
    main()
