"""The algorithm in plain NumPy: the judge of the compiled core, and the text to edit.

The network of Nielsen, Neural Networks and Deep Learning, chapters 1 and 2, with the costs and
the step of chapter 3.  A column vector per example, one example at a time, nothing clever.
"""

import random

import numpy as np


def sigmoid(z):
    """Return 1 / (1 + exp(-z)), element by element."""
    with np.errstate(over="ignore"):  # exp(-z) = inf is right: the result is 0
        return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    """Return the derivative of the sigmoid at z, element by element."""
    s = sigmoid(z)
    return s * (1 - s)


class QuadraticCost:
    """C = |a - y|^2 / 2 for one example."""

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y is desired."""
        return float(0.5 * np.linalg.norm(a - y) ** 2)

    @staticmethod
    def delta(z, a, y):
        """Return the error dC/dz of the output layer (BP1)."""
        return (a - y) * sigmoid_prime(z)


class CrossEntropyCost:
    """C = -sum(y ln a + (1 - y) ln(1 - a)) for one example."""

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y is desired; 0 ln 0 is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))))

    @staticmethod
    def delta(z, a, y):
        """Return the error dC/dz of the output layer."""
        return a - y


class Network:
    """A feedforward network of sigmoid neurons, trained by stochastic gradient descent.

    sizes lists the neurons of each layer, input layer first.  biases[l] has shape
    (sizes[l + 1], 1) and weights[l] has shape (sizes[l + 1], sizes[l]).
    """

    _sigmoid = staticmethod(sigmoid)
    _sigmoid_prime = staticmethod(sigmoid_prime)

    def __init__(self, sizes):
        """Draw every bias, then every weight, from the standard normal distribution."""
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(n_out, 1) for n_out in sizes[1:]]
        self.weights = [
            np.random.randn(n_out, n_in) for n_in, n_out in zip(sizes[:-1], sizes[1:])
        ]

    def feedforward(self, a):
        """Return the network's output for the input a, a column vector."""
        for b, w in zip(self.biases, self.weights):
            a = self._sigmoid(np.dot(w, a) + b)
        return a

    def SGD(self, training_data, epochs, mini_batch_size, eta, test_data=None):
        """Train on the list of (x, y), in a new random order each epoch."""
        for j in range(epochs):
            random.shuffle(training_data)
            for k in range(0, len(training_data), mini_batch_size):
                self.update_mini_batch(training_data[k : k + mini_batch_size], eta)
            if test_data:
                print(f"Epoch {j}: {self.evaluate(test_data)} / {len(test_data)}")
            else:
                print(f"Epoch {j} complete")

    def update_mini_batch(
        self, mini_batch, eta, lmbda=0.0, n=1, *, l1=0.0, mu=0.0, velocity=None
    ):
        """Move weights and biases against the mean gradient of the mini-batch.

        Chapter 3: lmbda and l1 regularise, for n examples of training data; velocity, a pair of
        lists like (biases, weights), keeps the part mu of itself, and is changed.
        """
        nabla_b = [np.zeros_like(b) for b in self.biases]
        nabla_w = [np.zeros_like(w) for w in self.weights]
        for x, y in mini_batch:
            delta_nabla_b, delta_nabla_w = self.backprop(x, y)
            nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_nabla_b)]
            nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_nabla_w)]
        m = len(mini_batch)
        steps_b = [-eta / m * nb for nb in nabla_b]
        steps_w = [-eta / m * nw for nw in nabla_w]
        if lmbda:
            steps_w = [s - eta * lmbda / n * w for s, w in zip(steps_w, self.weights)]
        if l1:
            steps_w = [s - eta * l1 / n * np.sign(w) for s, w in zip(steps_w, self.weights)]
        if velocity:
            velocity[0][:] = steps_b = [mu * v + s for v, s in zip(velocity[0], steps_b)]
            velocity[1][:] = steps_w = [mu * v + s for v, s in zip(velocity[1], steps_w)]
        self.biases = [b + s for b, s in zip(self.biases, steps_b)]
        self.weights = [w + s for w, s in zip(self.weights, steps_w)]

    def backprop(self, x, y):
        """Return (nabla_b, nabla_w), the gradient of the cost of one example."""
        nabla_b = [np.zeros_like(b) for b in self.biases]
        nabla_w = [np.zeros_like(w) for w in self.weights]
        a = x
        activations = [x]  # of every layer
        zs = []  # the weighted input of every layer but the first
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, a) + b
            zs.append(z)
            a = self._sigmoid(z)
            activations.append(a)
        delta = self._output_error(zs[-1], a, y)
        nabla_b[-1] = delta  # BP3
        nabla_w[-1] = np.dot(delta, activations[-2].T)  # BP4
        for l in range(2, len(self.weights) + 1):
            delta = np.dot(self.weights[-l + 1].T, delta) * self._sigmoid_prime(zs[-l])  # BP2
            nabla_b[-l] = delta
            nabla_w[-l] = np.dot(delta, activations[-l - 1].T)
        return nabla_b, nabla_w

    def evaluate(self, test_data):
        """Return how many (x, label) have the label as their most active output."""
        return int(sum(np.argmax(self.feedforward(x)) == label for x, label in test_data))

    def _output_error(self, z, a, y):
        return self.cost_derivative(a, y) * self._sigmoid_prime(z)  # BP1

    def cost_derivative(self, output_activations, y):
        """Return dC/da of the output layer, for the quadratic cost |a - y|^2 / 2."""
        return output_activations - y
