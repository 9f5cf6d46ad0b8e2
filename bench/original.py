"""The book's algorithm as a reader writes it, chapters 1 and 3: the mark of every call.

Plain NumPy, an example at a time, in float64, and nothing checked.
"""

import random

import numpy as np


def sigmoid(z):
    """Return 1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_prime(z):
    """Return the derivative of the sigmoid."""
    return sigmoid(z) * (1 - sigmoid(z))


class Network:
    """Chapter 1: the quadratic cost, by stochastic gradient descent."""

    def __init__(self, sizes):
        self.num_layers, self.sizes = len(sizes), sizes
        self.biases = [np.random.randn(n, 1) for n in sizes[1:]]
        self.weights = [np.random.randn(n, k) for k, n in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        """Return the output for the input a."""
        for b, w in zip(self.biases, self.weights):
            a = sigmoid(np.dot(w, a) + b)
        return a

    def SGD(self, training_data, epochs, mini_batch_size, eta, test_data=None):
        """Train; print how test_data is answered after each epoch."""
        n = len(training_data)
        for j in range(epochs):
            random.shuffle(training_data)
            for k in range(0, n, mini_batch_size):
                self.update_mini_batch(training_data[k : k + mini_batch_size], eta)
            if test_data:
                print(f"Epoch {j}: {self.evaluate(test_data)} / {len(test_data)}")
            else:
                print(f"Epoch {j} complete")

    def gradient(self, mini_batch):
        """Return the sums of what backprop says of each example."""
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        for x, y in mini_batch:
            delta_nabla_b, delta_nabla_w = self.backprop(x, y)
            nabla_b = [nb + dnb for nb, dnb in zip(nabla_b, delta_nabla_b)]
            nabla_w = [nw + dnw for nw, dnw in zip(nabla_w, delta_nabla_w)]
        return nabla_b, nabla_w

    def update_mini_batch(self, mini_batch, eta):
        """Take one step."""
        nabla_b, nabla_w = self.gradient(mini_batch)
        rate = eta / len(mini_batch)
        self.weights = [w - rate * nw for w, nw in zip(self.weights, nabla_w)]
        self.biases = [b - rate * nb for b, nb in zip(self.biases, nabla_b)]

    def backprop(self, x, y):
        """Return (nabla_b, nabla_w) of one example."""
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activation, activations, zs = x, [x], []
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            zs.append(z)
            activation = sigmoid(z)
            activations.append(activation)
        delta = self.error(zs[-1], activations[-1], y)
        nabla_b[-1], nabla_w[-1] = delta, np.dot(delta, activations[-2].transpose())
        for l in range(2, self.num_layers):
            delta = np.dot(self.weights[-l + 1].transpose(), delta) * sigmoid_prime(zs[-l])
            nabla_b[-l], nabla_w[-l] = delta, np.dot(delta, activations[-l - 1].transpose())
        return nabla_b, nabla_w

    def error(self, z, a, y):
        """Return dC/dz of the last layer."""
        return self.cost_derivative(a, y) * sigmoid_prime(z)

    def cost_derivative(self, output_activations, y):
        """Return dC/da of the last layer."""
        return output_activations - y

    def evaluate(self, test_data):
        """Return how many (x, label) are answered rightly."""
        answers = [(np.argmax(self.feedforward(x)), y) for x, y in test_data]
        return sum(int(x == y) for x, y in answers)


class Network2(Network):
    """Chapter 3: the cross-entropy cost, smaller weights, weight decay."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.weights = [w / np.sqrt(w.shape[1]) for w in self.weights]

    def SGD(self, training_data, epochs, mini_batch_size, eta, lmbda=0.0):
        """Train, with nothing looked at."""
        n = len(training_data)
        for j in range(epochs):
            random.shuffle(training_data)
            for k in range(0, n, mini_batch_size):
                mini_batch = training_data[k : k + mini_batch_size]
                self.update_mini_batch(mini_batch, eta, lmbda, n)
            print(f"Epoch {j} training complete\n")

    def update_mini_batch(self, mini_batch, eta, lmbda, n):
        """Take one step, the weights decaying."""
        nabla_b, nabla_w = self.gradient(mini_batch)
        rate, kept = eta / len(mini_batch), 1 - eta * (lmbda / n)
        self.weights = [kept * w - rate * nw for w, nw in zip(self.weights, nabla_w)]
        self.biases = [b - rate * nb for b, nb in zip(self.biases, nabla_b)]

    def error(self, z, a, y):
        """Return dC/dz of the last layer, of the cross-entropy."""
        return a - y

    def accuracy(self, data):
        """Return how many (x, label) are answered rightly."""
        return self.evaluate(data)
