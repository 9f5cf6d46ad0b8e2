"""The book in plain NumPy, chapters 1 to 3: the judge of the core, and the text to edit.

A column vector per example, one at a time.  To train by a text of your own, copy this file and
import the copy (docs/drop-in.md).  Three tables hold a twin of every row of the core's:
ACTIVATIONS of hidden layers, OUTPUTS (activation and cost of the last), RULES (the step).
``Network`` is chapter 1's and 2's, ``Network2`` chapter 3's; ``MLP`` takes any rows.

Nielsen, Neural Networks and Deep Learning; BP1-BP4, chapter 2, are in docs/backpropagation.md.
"""

import random

import numpy as np


def quiet(function):
    """Return function with NumPy told that of exp(-z) inf is right, and so is 0.

    Each has an errstate of its own: before NumPy 2, one that is entered twice forgets what it
    found the first time.
    """
    return np.errstate(over="ignore", under="ignore")(function)


def loud_sigmoid(z):
    """Return what sigmoid does, for who has made it quiet already."""
    return np.reciprocal(1.0 + np.exp(-z))


@quiet
def sigmoid(z):
    """Return 1 / (1 + exp(-z)), element by element."""
    return loud_sigmoid(z)


def sigmoid_prime(z):
    """Return the derivative of the sigmoid at z, element by element."""
    s = sigmoid(z)
    return s * (1 - s)


def softmax(z):
    """Return exp(z) over its sum; the largest z is taken away first, so nothing overflows."""
    with np.errstate(under="ignore"):  # what is far below the largest is 0
        e = np.exp(z - np.max(z))
        return e / np.sum(e)


# What hidden neurons do: name, (f(z), f'(z)).
ACTIVATIONS = {
    "sigmoid": (sigmoid, sigmoid_prime),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)),
    "identity": (lambda z: z, np.ones_like),
}


class QuadraticCost:
    """C = |a - y|^2 / 2 for one example, of sigmoid outputs."""

    targets = 0, 1  # what the outputs reach, and y may be

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y is desired."""
        return 0.5 * float(np.linalg.norm(a - y)) ** 2

    @staticmethod
    def delta(z, a, y):
        """Return the error dC/dz of the output layer (BP1)."""
        return (a - y) * sigmoid_prime(z)


class CrossEntropyCost:
    """C = -sum(y ln a + (1 - y) ln(1 - a)) for one example, of sigmoid outputs."""

    targets = 0, 1

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y is desired; 0 ln 0 is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(np.sum(np.nan_to_num(-y * np.log(a) - (1 - y) * np.log(1 - a))))

    @staticmethod
    def delta(z, a, y):
        """Return the error dC/dz of the output layer."""
        return a - y


class LogLikelihoodCost(CrossEntropyCost):
    """C = -sum(y ln a) for one example, of softmax outputs."""

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y is desired; 0 ln 0 is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(np.sum(np.nan_to_num(-y * np.log(a))))


class SquaredCost(CrossEntropyCost):
    """C = |a - y|^2 / 2 for one example, of identity outputs: regression."""

    targets = -np.inf, np.inf
    fn = staticmethod(QuadraticCost.fn)


class PoissonCost(CrossEntropyCost):
    """C = sum(y ln(y / a) - y + a) for one example, of outputs exp(z): counts."""

    targets = 0, np.inf

    @staticmethod
    def fn(a, y):
        """Return the cost of the output a where y, at least 0, is desired; 0 ln 0 is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return float(np.sum(np.nan_to_num(y * np.log(y / a)) - y + a))


# The last layer: name, (its activation, its cost).
OUTPUTS = {
    "quadratic": (sigmoid, QuadraticCost),
    "cross-entropy": (sigmoid, CrossEntropyCost),
    "log-likelihood": (softmax, LogLikelihoodCost),
    "squared": (lambda z: z, SquaredCost),
    "poisson": (np.exp, PoissonCost),
}


def plain(g, slots, t, eta):
    """Return the step of gradient descent."""
    return -eta * g


def momentum(g, slots, t, eta, mu=0.9):
    """Return the velocity v = mu v - eta g, kept in slots[0] (chapter 3)."""
    slots[0] = mu * slots[0] - eta * g
    return slots[0]


def nesterov(g, slots, t, eta, mu=0.9):
    """Return mu v - eta g, v as ``momentum`` leaves it (Sutskever et al., 2013)."""
    return mu * momentum(g, slots, t, eta, mu) - eta * g


def adam(g, slots, t, eta, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Return the step of Adam (Kingma and Ba, 2015); slots are the means of g and of g^2."""
    slots[0] = beta_1 * slots[0] + (1 - beta_1) * g
    slots[1] = beta_2 * slots[1] + (1 - beta_2) * g**2
    rate = eta * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return -rate * slots[0] / (np.sqrt(slots[1]) + epsilon)


# How a mean gradient g becomes the t-th step: name, (function, number of slots a weight).
RULES = {
    "plain": (plain, 0),
    "momentum": (momentum, 1),
    "nesterov": (nesterov, 1),
    "adam": (adam, 2),
}


class Network:
    """A feedforward network of sigmoid neurons, trained by stochastic gradient descent.

    sizes lists the neurons of each layer, input layer first.  biases[l] has shape
    (sizes[l + 1], 1) and weights[l] has shape (sizes[l + 1], sizes[l]).
    """

    _hidden = staticmethod(loud_sigmoid)
    _hidden_prime = staticmethod(sigmoid_prime)
    _output = staticmethod(loud_sigmoid)
    _output_prime = staticmethod(sigmoid_prime)

    def __init__(self, sizes):
        """Draw every bias, then every weight, from the standard normal distribution."""
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(n_out, 1) for n_out in sizes[1:]]
        self.weights = [
            np.random.randn(n_out, n_in) for n_in, n_out in zip(sizes[:-1], sizes[1:])
        ]

    @quiet
    def feedforward(self, a):
        """Return the network's output for the input a, a column vector."""
        for b, w in zip(self.biases[:-1], self.weights[:-1]):
            a = self._hidden(w.dot(a) + b)
        return self._output(self.weights[-1].dot(a) + self.biases[-1])

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

    def update_mini_batch(self, mini_batch, eta):
        """Move weights and biases against the mean gradient of the mini-batch."""
        nabla_b, nabla_w = sum_of_gradients(self, mini_batch)
        m = len(mini_batch)
        self.biases = [b - eta / m * nb for b, nb in zip(self.biases, nabla_b)]
        self.weights = [w - eta / m * nw for w, nw in zip(self.weights, nabla_w)]

    @quiet
    def backprop(self, x, y):
        """Return (nabla_b, nabla_w), the gradient of the cost of one example."""
        a = x
        activations = [x]  # of every layer but the last
        zs = []  # the weighted input of every hidden layer
        for b, w in zip(self.biases[:-1], self.weights[:-1]):
            zs.append(w.dot(a) + b)
            a = self._hidden(zs[-1])
            activations.append(a)
        z = self.weights[-1].dot(a) + self.biases[-1]
        delta = self._output_error(z, self._output(z), y)
        nabla_b = [delta]  # BP3
        nabla_w = [delta.dot(a.T)]  # BP4
        for l in range(len(self.weights) - 1, 0, -1):
            delta = self.weights[l].T.dot(delta) * self._hidden_prime(zs[l - 1])  # BP2
            nabla_b.insert(0, delta)
            nabla_w.insert(0, delta.dot(activations[l - 1].T))
        return nabla_b, nabla_w

    def evaluate(self, test_data):
        """Return how many (x, label) have the label as their most active output."""
        return int(sum(np.argmax(self.feedforward(x)) == label for x, label in test_data))

    def _output_error(self, z, a, y):
        return self.cost_derivative(a, y) * self._output_prime(z)  # BP1

    def cost_derivative(self, output_activations, y):
        """Return dC/da of the output layer, for the quadratic cost |a - y|^2 / 2."""
        return output_activations - y


class Network2(Network):
    """Chapter 3's network: a choice of cost, better initial weights, L2 regularisation."""

    def __init__(self, sizes, cost=CrossEntropyCost):
        """Draw the parameters: see default_weight_initializer."""
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.default_weight_initializer()
        self.cost = cost

    def default_weight_initializer(self):
        """Draw every bias from N(0, 1), then every weight from N(0, 1 / inputs)."""
        self.large_weight_initializer()
        self.weights = [w / np.sqrt(w.shape[1]) for w in self.weights]

    def large_weight_initializer(self):
        """Draw biases and weights from N(0, 1), as chapters 1 and 2 do."""
        self.biases = [np.random.randn(n, 1) for n in self.sizes[1:]]
        self.weights = [np.random.randn(n, k) for k, n in zip(self.sizes, self.sizes[1:])]

    def SGD(
        self,
        training_data,
        epochs,
        mini_batch_size,
        eta,
        lmbda=0.0,
        evaluation_data=None,
        monitor_evaluation_cost=False,
        monitor_evaluation_accuracy=False,
        monitor_training_cost=False,
        monitor_training_accuracy=False,
        early_stopping_n=0,
    ):
        """Train, and return what is monitored after each epoch, as four lists.

        early_stopping_n, if not 0, ends it after that many epochs in a row without a better
        accuracy on evaluation_data.
        """
        evaluation_cost, evaluation_accuracy = [], []
        training_cost, training_accuracy = [], []
        n, best, waited = len(training_data), 0, 0
        for j in range(epochs):
            random.shuffle(training_data)
            for k in range(0, n, mini_batch_size):
                self.update_mini_batch(training_data[k : k + mini_batch_size], eta, lmbda, n)
            print(f"Epoch {j} training complete")
            if monitor_training_cost:
                training_cost.append(self.total_cost(training_data, lmbda))
                print(f"Cost on training data: {training_cost[-1]}")
            if monitor_training_accuracy:
                training_accuracy.append(self.accuracy(training_data, convert=True))
                print(f"Accuracy on training data: {training_accuracy[-1]} / {n}")
            if monitor_evaluation_cost:
                evaluation_cost.append(self.total_cost(evaluation_data, lmbda, convert=True))
                print(f"Cost on evaluation data: {evaluation_cost[-1]}")
            if monitor_evaluation_accuracy:
                right, of = self.accuracy(evaluation_data), len(evaluation_data)
                evaluation_accuracy.append(right)
                print(f"Accuracy on evaluation data: {right} / {of}")
            print()
            if early_stopping_n:
                waited = 0 if evaluation_accuracy[-1] > best else waited + 1
                best = max(best, evaluation_accuracy[-1])
                if waited == early_stopping_n:
                    break
        return evaluation_cost, evaluation_accuracy, training_cost, training_accuracy

    def update_mini_batch(self, mini_batch, eta, lmbda, n):
        """Move weights and biases; lmbda / n is the weight decay of n training examples."""
        nabla_b, nabla_w = sum_of_gradients(self, mini_batch)
        m = len(mini_batch)
        self.biases = [b - eta / m * nb for b, nb in zip(self.biases, nabla_b)]
        self.weights = [
            (1 - eta * lmbda / n) * w - eta / m * nw for w, nw in zip(self.weights, nabla_w)
        ]

    def accuracy(self, data, convert=False):
        """Return how many are classified rightly; convert: y are vectors, not labels."""
        return self.evaluate([(x, np.argmax(y)) if convert else (x, y) for x, y in data])

    def total_cost(self, data, lmbda, convert=False):
        """Return the mean cost, regularisation included; convert: y are labels."""
        cost = 0.5 * lmbda / len(data) * sum(np.linalg.norm(w) ** 2 for w in self.weights)
        for x, y in data:
            if convert:
                y = np.eye(self.sizes[-1])[:, [y]]
            cost += self.cost.fn(self.feedforward(x), y) / len(data)
        return cost

    def _output_error(self, z, a, y):
        return self.cost.delta(z, a, y)


class MLP(Network2):
    """A network of any hidden activation, output and rule: names in the tables above."""

    def __init__(self, sizes, hidden="sigmoid", output="cross-entropy", rule="plain"):
        """Draw as chapter 3 does; the rule keeps nothing yet."""
        self._hidden, self._hidden_prime = ACTIVATIONS[hidden]
        self._output, cost = OUTPUTS[output]
        super().__init__(sizes, cost)
        self.rule = rule
        self.steps, self.slots = 0, empty_slots(self, rule)

    def update_mini_batch(self, mini_batch, eta, **options):
        """Take the next step of the rule; options as ``descend`` takes them."""
        self.steps += 1
        descend(self, mini_batch, eta, self.rule, self.slots, self.steps, **options)


def sum_of_gradients(net, mini_batch, weights=None):
    """Return (nabla_b, nabla_w) summed over the mini-batch, each example times its weight."""
    nabla_b = [np.zeros(b.shape, b.dtype) for b in net.biases]
    nabla_w = [np.zeros(w.shape, w.dtype) for w in net.weights]
    for i, (x, y) in enumerate(mini_batch):
        delta_nabla_b, delta_nabla_w = net.backprop(x, y)
        if weights:
            delta_nabla_b = [weights[i] * dnb for dnb in delta_nabla_b]
            delta_nabla_w = [weights[i] * dnw for dnw in delta_nabla_w]
        nabla_b = [added(nb, dnb) for nb, dnb in zip(nabla_b, delta_nabla_b)]
        nabla_w = [added(nw, dnw) for nw, dnw in zip(nabla_w, delta_nabla_w)]
    return nabla_b, nabla_w


def added(total, part):
    """Return total + part, in the memory of total where that can hold it."""
    if type(part) is np.ndarray and part.dtype == total.dtype and part.shape == total.shape:
        total += part
        return total
    return total + part


def empty_slots(net, rule):
    """Return what a rule keeps of each bias and weight before the first step."""
    n = RULES[rule][1]
    return [[np.zeros_like(p) for _ in range(n)] for p in (*net.biases, *net.weights)]


def regularised(g, w, l2, l1):
    """Return g + l2 w + l1 sgn(w), of which what is 0 is left out."""
    g = g + l2 * w if l2 else g
    return g + l1 * np.sign(w) if l1 else g


def descend(net, mini_batch, eta, rule, slots, t, l2=0.0, l1=0.0, weights=None, **parameters):
    """Move net by the t-th step of a rule, whose slots (of biases, then weights) are changed.

    The step is for g = the mean gradient, over the sum of the examples' weights, plus l2 w +
    l1 sgn(w) for weights (not for biases): chapter 3, where l2 = lmbda / n.
    """
    nabla_b, nabla_w = sum_of_gradients(net, mini_batch, weights)
    m = sum(weights) if weights else len(mini_batch)
    step = RULES[rule][0]
    depth = len(net.biases)
    net.biases = [
        b + step(nb / m, kept, t, eta, **parameters)
        for b, nb, kept in zip(net.biases, nabla_b, slots[:depth])
    ]
    net.weights = [
        w + step(regularised(nw / m, w, l2, l1), kept, t, eta, **parameters)
        for w, nw, kept in zip(net.weights, nabla_w, slots[depth:])
    ]
