"""Several machines train one network on one mini-batch at a time, by mpi4py.

    pip install bpnet mpi4py mpich              # where there is no MPI yet
    mpiexec -n 2 python examples/data_parallel.py

A mini-batch is always 8 shards.  Each rank sums the gradients of its own; ranks then add their
sums in pairs, and all take the same step.  The additions are those of one fixed tree, whichever
rank does them: the same bits on 1, 2, 4 and 8 ranks.  Every rank has all examples, and shuffles
alike.  docs/beyond-one-machine.md says what a step costs, and when this pays.
"""

import argparse
import random
import time
import zlib

import numpy as np

import bpnet

SHARDS = 8
PARTS = ("gradient", "sum", "load")  # of a step, whose time is taken


def views(flat, sizes):
    """Return the lists (biases, weights), all of them parts of one array.

    One array is one message.  Weights lie by input, as the core has them: they are not turned.
    """
    biases, weights, parts = [], [], iter(np.split(flat, np.cumsum(lengths(sizes))[:-1]))
    for n_in, n_out in zip(sizes, sizes[1:]):
        biases.append(next(parts).reshape(n_out, 1))
        weights.append(next(parts).reshape(n_in, n_out).T)
    return biases, weights


def lengths(sizes):
    """Return the number of biases and of weights, layer by layer."""
    return [n for n_in, n_out in zip(sizes, sizes[1:]) for n in (n_out, n_in * n_out)]


class Rank:
    """What one rank keeps: parameters, their gradient, and the examples in the core's form."""

    def __init__(self, net, examples, comm, n_threads=1):
        self.comm, self.rank, self.ranks = comm, comm.Get_rank(), comm.Get_size()
        if self.ranks not in (1, 2, 4, 8):
            raise ValueError(f"mpiexec -n must be 1, 2, 4 or 8, got {self.ranks}")
        self.gradients = net.gradients(examples, n_threads)
        self.flat = np.empty(sum(lengths(net.sizes)), net.dtype)
        self.parameters = views(self.flat, net.sizes)
        for mine, theirs in zip(self.parameters, (net.biases, net.weights)):
            for array, parameter in zip(mine, theirs):
                array[...] = parameter
        # A sum waits in its level's array while that of its right half is made in the next.
        self.levels = [np.empty_like(self.flat) for _ in range(SHARDS.bit_length())]
        self.lists = [views(level, net.sizes) for level in self.levels]
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def step(self, mini_batch, eta):
        """Descend by the mean gradient of mini_batch, an array of indices of examples."""
        total = self.sum_of_all(np.array_split(mini_batch, SHARDS))
        start = time.perf_counter()
        total *= self.flat.dtype.type(eta / len(mini_batch))
        self.flat -= total
        self.gradients.load(*self.parameters)
        self.seconds["load"] += time.perf_counter() - start

    def sum_of_all(self, shards):
        """Return the sum of the gradients of all shards, this rank's and the others'."""
        own = SHARDS // self.ranks
        total = self.sum_of(shards[self.rank * own : (self.rank + 1) * own])
        start, theirs = time.perf_counter(), self.levels[-1]
        apart = 1
        while apart < self.ranks:  # a + b is b + a: both of a pair get the same bits
            other = self.rank ^ apart
            self.comm.Sendrecv(total, dest=other, recvbuf=theirs, source=other)
            total += theirs
            apart *= 2
        self.seconds["sum"] += time.perf_counter() - start
        return total

    def sum_of(self, shards, level=0):
        """Return the sum of their gradients: that of the left half plus that of the right."""
        if len(shards) == 1:
            start = time.perf_counter()
            self.gradients(shards[0], out=self.lists[level])
            self.seconds["gradient"] += time.perf_counter() - start
            return self.levels[level]
        half = len(shards) // 2
        total = self.sum_of(shards[:half], level)
        right = self.sum_of(shards[half:], level + 1)
        start = time.perf_counter()
        total += right
        self.seconds["sum"] += time.perf_counter() - start
        return total


def train(rank, epochs, mini_batch_size, eta, seed, after=None):
    """Visit all examples in the order that ``MLP.train`` takes with this seed."""
    order, source = list(range(len(rank.gradients))), random.Random(seed)
    for epoch in range(epochs):
        source.shuffle(order)
        visited = np.array(order)
        for begin in range(0, len(order), mini_batch_size):
            rank.step(visited[begin : begin + mini_batch_size], eta)
        if after is not None:
            after(epoch)


def main():
    """Train on MNIST; rank 0 says how well the network reads digits that it has not seen."""
    from mpi4py import MPI

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hidden", type=int, nargs="*", default=[100])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--mini-batch-size", type=int, default=64)
    parser.add_argument("--eta", type=float, default=0.5)
    parser.add_argument("--examples", type=int, help="the first so many (default: all)")
    told = parser.parse_args()
    comm = MPI.COMM_WORLD
    (x, labels), held_out, _ = bpnet.mnist_loader.load_data()
    net = bpnet.MLP([784, *told.hidden, 10], dtype=np.float32, seed=1)
    try:
        rank = Rank(net, (x[: told.examples], labels[: told.examples]), comm)
    except ValueError as error:
        raise SystemExit(str(error) if comm.Get_rank() == 0 else 1) from None

    def say(epoch):
        if rank.rank == 0:
            net.biases, net.weights = rank.parameters
            print(f"Epoch {epoch}: {net.count(held_out)} / {len(held_out[1])}", flush=True)

    train(rank, told.epochs, told.mini_batch_size, told.eta, seed=1, after=say)
    if rank.rank == 0:
        steps = told.epochs * -(-len(rank.gradients) // told.mini_batch_size)
        times = ", ".join(f"{part} {1e3 * rank.seconds[part] / steps:.2f}" for part in PARTS)
        print(f"ms a step: {times}")
        print(f"{rank.ranks} ranks, CRC of all parameters: {zlib.crc32(rank.flat):08x}")


if __name__ == "__main__":
    main()
