"""An activation and a cost of one's own, in the tutorial's network2; and are they right?

    pip install bpnet
    python examples/custom_activation_and_cost.py

What is not in the core runs in NumPy, as the tutorial has it: one example at a time, some
hundred times slower.  So this takes 1,000 digits.
"""

import numpy as np

import bpnet
from bpnet import mnist_loader, network2


def softsign(z):
    """Return z / (1 + |z|), moved into (0, 1): it flattens later than the sigmoid."""
    return (1 + z / (1 + abs(z))) / 2


def softsign_prime(z):
    """Return its derivative."""
    return 0.5 / (1 + abs(z)) ** 2


class QuarticCost:
    """sum (a - y)^4 / 4: a small error counts for little, a large one for much."""

    @staticmethod
    def fn(a, y):
        """Return the cost of an example."""
        return np.sum((a - y) ** 4) / 4

    @staticmethod
    def delta(z, a, y):
        """Return dC/dz of the output layer (BP1); it is the activation's business, too."""
        return (a - y) ** 3 * network2.sigmoid_prime(z)


def main():
    """Train with each, after a look at the gradient."""
    training_data, _, test_data = mnist_loader.load_data_wrapper()
    activations = {
        "sigmoid": (network2.sigmoid, network2.sigmoid_prime),
        "softsign": (softsign, softsign_prime),
    }
    for name, functions in activations.items():
        network2.sigmoid, network2.sigmoid_prime = functions
        for cost in (network2.QuadraticCost, QuarticCost):
            net = network2.Network([784, 30, 10], cost, seed=1)
            print(f"{name}, {cost.__name__}: {bpnet.gradient_check(net, training_data[:2])}")
            net.SGD(training_data[:1000], 5, 10, 3.0, verbose=False)
            print(f"  {net.accuracy(test_data)} of {len(test_data)} test digits\n")
    network2.sigmoid, network2.sigmoid_prime = activations["sigmoid"]


if __name__ == "__main__":
    main()
