"""How many neurons?  Many networks are trained a little, the best of them go on.

Synchronous successive halving on epochs (Jamieson and Talwalkar, 2016): every setting is
trained for some epochs, the best share of them goes on from where it was, and so forth; those
of the last rung are trained again from other seeds, which says what of a difference is luck.

>>> from bpnet import search
>>> found = search.run((X, labels), hidden=[(30,), (100,)], eta=search.log(0.03, 3))
>>> print(found)
>>> found.smallest.save("network.npz")

The table is the same, to the bit, for any number of workers and for any executor: what a task
returns depends on nothing but the task, and nothing is decided before a rung is complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from bpnet import check
from bpnet.search import examples, space
from bpnet.search.found import Found
from bpnet.search.halving import Search
from bpnet.search.journal import Journal
from bpnet.search.space import Plan, Range, checked, log, upto
from bpnet.search.task import SettingError
from bpnet.search.workers import Workers, refuse_copies
from bpnet.watching import Watch

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["Found", "Range", "SettingError", "log", "run", "upto"]

# What is tried where nothing is said: the table of docs/how-many-neurons.md.
HIDDEN = [(), (10,), (30,), (100,), (30, 30), (100, 100)]
ETA = {"plain": 0.5, "momentum": 0.05, "nesterov": 0.05, "adam": 0.01}  # to classify
DECAY = 4e-5  # lmbda / n
EPOCHS, VISITS = 18, 50_000  # of the last rung, and of examples: few are visited more often


def run(
    data: Any,
    validation_data: Any = None,
    *,
    hidden: Any = None,
    eta: Any = None,
    mini_batch_size: Any = 10,
    lmbda: Any = None,
    l1: Any = 0.0,
    rule: Any = "plain",
    activation: Any = "sigmoid",
    output: str | None = None,
    dtype: DTypeLike | None = None,
    settings: int | None = None,
    epochs: int | None = None,
    factor: int | None = None,
    seeds: int = 3,
    executor: Executor | Callable[[], Executor] | None = None,
    n_threads: int | None = None,
    seed: int = 1,
    log: check.AnyPath | None = None,
    verbose: bool | str = "bar",
) -> Found:
    """Train networks of many settings and return what was found: a table, and the best.

    data is what ``bpnet.MLP.train`` takes, or the path of a file that ``Dataset.save`` wrote;
    validation_data likewise, or data is a tuple (training, validation) of two such.  Without
    it, a sixth of the examples, drawn at random from seed, is held out (both parts are then in
    memory, whatever data is).  Labels, or vectors with a single 1, are learned by networks that
    classify, judged by their accuracy on the validation data; other numbers by regression,
    judged by their cost.

    What is searched: hidden, a tuple of the neurons of each hidden layer, or their number in
    one; eta, the learning rate of the first epoch, which falls to 0 in a straight line;
    mini_batch_size, lmbda, l1, rule and activation, the hidden layers', as ``bpnet.MLP`` has
    them.  Each is a value, a list, of which every item is tried, or a range, ``search.log(0.03,
    3)`` or, of integers, ``search.upto(2, 200)``.  Without a range, all combinations are
    trained, or so many of them, drawn at random, as settings says; with one, settings (27 if
    not given) are drawn so that each item of a list and each part of a range occurs as often as
    others.  By default hidden is a list from no hidden layer to 100-100, lmbda 4e-5 for each
    training example, and eta 0.5, of momentum and nesterov 0.05, of adam 0.01; for a regression
    a tenth of that, 0.01 at least.  output is ``bpnet.MLP``'s, by default "cross-entropy" or
    "squared"; dtype that of a Dataset or float32.

    In each rung, networks go on to factor times the epochs of the rung before, until the last
    has epochs (18, or, of few examples, as many as visit 50,000); one in factor of the settings
    goes on, and factor or more to the last.  factor is 3; or 1, every setting in full, where
    they differ in hidden alone: that is a table, not a race.  The last rung is trained again
    with other seeds, seeds in all: seed, seed + 1, ....

    executor is what trains: None for n_threads threads of this process (all processors by
    default), or any ``concurrent.futures.Executor``, or a function that makes one and is called
    again where that breaks because a worker died, as ``loky.get_reusable_executor``.  Each task
    is one network on one thread.  Where workers are other processes, data that is not in a
    file is written to a temporary one; other machines need the path of a Dataset's file that
    they have, too.

    log names a file of JSON lines to keep what is trained in: if the call is repeated after
    whatever ended it, it goes on from there.  verbose is False, True for a line after each
    rung, or "bar" for those above a progress bar.

    A setting that diverges is a row of the table.  Raises TypeError or ValueError if an
    argument is not as described, SettingError, which names the setting, if its training fails,
    and RuntimeError if workers die again and again, or under mpiexec without ``-m
    mpi4py.futures``.
    """
    refuse_copies()
    seeds, seed = checked("seeds", seeds), checked("seed", seed)
    training, validation = examples.parts(data, validation_data, dtype, seed)
    if epochs is None:
        epochs = max(EPOCHS, round(VISITS / len(training)))
    epochs = checked("epochs", epochs)
    job = space.job(training, validation, output, epochs)
    values = {
        "hidden": HIDDEN if hidden is None else hidden,
        "activation": activation,
        "eta": _eta(job, rule) if eta is None else eta,
        "mini_batch_size": mini_batch_size,
        "lmbda": DECAY * len(training) if lmbda is None else lmbda,
        "l1": l1,
        "rule": rule,
    }
    drawn = space.settings(
        {name: space.choices(name, given) for name, given in values.items()},
        None if settings is None else checked("settings", settings),
        seed,
    )
    if factor is None:
        factor = 1 if space.varied(drawn) <= {"hidden"} else 3
    plan = Plan(
        job,
        drawn,
        space.rungs(len(drawn), epochs, checked("factor", factor)),
        [seed + k for k in range(seeds)],
        [training.checksum, validation.checksum],
        [len(training), len(validation)],
    )
    with contextlib.ExitStack() as held:
        scratch = held.enter_context(contextlib.ExitStack())
        workers = held.enter_context(Workers(executor, n_threads))
        journal = held.enter_context(Journal(log, plan))
        sent = workers.send([training, validation], scratch)
        watch = Watch(verbose, plan.epochs_to_train(), journal.epochs(), "epochs")
        held.callback(watch.close)
        return Search(plan, workers, journal, sent, watch).go()


def _eta(job: space.Job, rule: Any) -> float:
    """Return the eta where none is given; ValueError if rules differ in what suits them."""
    rules: Any = space.choices("rule", rule)
    etas = {ETA[name] for name in rules}
    if len(etas) > 1:
        raise ValueError(f"eta must be given for rules that need different ones, got {rules}")
    return etas.pop() if job.percent else max(0.01, etas.pop() / 10)
