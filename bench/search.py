"""How soon does a search find a network that is good enough, here and elsewhere?

bpnet.search.run; scikit-learn's HalvingRandomSearchCV over its MLPClassifier, given the very
settings that the first draws, epochs being its resource and the validation digits its one fold;
Optuna with TPE and Hyperband over bpnet, from the same ranges.  Each has two workers, threads
or, scikit-learn's, processes; contestants take turns.  A network counts when its task ends,
pruned or not.  Softmax outputs; eta falls to 0 over the last rung's epochs in bpnet, and stays
in scikit-learn, which knows no such schedule.
"""

import functools
import json
import os
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from harness import options, report

import bpnet
from bpnet import mnist_loader, search
from bpnet.search import space

SETTINGS, EPOCHS, FACTOR, WORKERS = 27, 9, 3, 2
HIDDEN = [(30,), (60,), (100,), (30, 30), (60, 60)]
MINI_BATCHES = [10, 20, 32]
ETA, LMBDA = (0.03, 3), (0.1, 10)  # lmbda / n, where scikit-learn has alpha / mini_batch_size
GOOD = (0.95, 0.96, 0.97, 0.975)


def main():
    parser = options(__doc__, turns=3)
    parser.add_argument("--examples", type=int, default=50_000, help="of MNIST, to train on")
    arguments = parser.parse_args()
    training, validation, _ = mnist_loader.load_data(arguments.data)
    training = tuple(part[: arguments.examples] for part in training)
    packed = [bpnet.Dataset(part, dtype="float32") for part in (training, validation)]
    arrays = np.concatenate([training[0], validation[0]]).astype("float32")
    labels = np.concatenate([training[1], validation[1]])
    contestants = {
        "bpnet.search": functools.partial(halving, packed),
        "Optuna, Hyperband over bpnet": functools.partial(hyperband, packed),
        "scikit-learn, HalvingRandomSearchCV": functools.partial(
            halving_cv, arrays, labels, len(training[0])
        ),
    }
    found = {name: [] for name in contestants}
    for turn in range(arguments.turns):
        for name, run in contestants.items():
            found[name].append(run(turn + 1))
    import optuna
    import sklearn

    report(
        f"{SETTINGS} settings of at most {EPOCHS} epochs on {len(training[0]):,} digits, "
        f"{WORKERS} workers each: seconds until a network is so good on the validation digits",
        [row(name, turns) for name, turns in found.items()],
        arguments.save,
        scikit_learn=sklearn.__version__,
        optuna=optuna.__version__,
        turns=arguments.turns,
    )


def row(name, turns):
    """Return the medians of a contestant's turns."""
    seconds = [whole for whole, _ in turns]
    columns = {"system": name, "dtype": "float32"}
    columns |= {
        f"{100 * good:g} %, s": middle([first(tasks, good) for _, tasks in turns])
        for good in GOOD
    }
    return {
        **columns,
        "in all, s": statistics.median(seconds),
        "least": min(seconds),
        "most": max(seconds),
        "best, %": 100 * middle([max(accuracy for _, accuracy, _ in t) for _, t in turns]),
        "epochs": middle([sum(epochs for *_, epochs in t) for _, t in turns]),
    }


def middle(figures):
    """Return the median, or None if there is not a figure of each turn."""
    return None if None in figures else statistics.median(figures)


def first(tasks, good):
    """Return when the first task ended whose network is so good; None if there is none."""
    return min((when for when, accuracy, _ in tasks if accuracy >= good), default=None)


# Contestants return their seconds in all, and of each task when it ended, in seconds from the
# start, its network's accuracy on the validation digits, and the epochs that it trained.


class Watched(ThreadPoolExecutor):
    """Threads that remember what they did."""

    def __init__(self):
        super().__init__(WORKERS)
        self.tasks, self.start = [], time.perf_counter()

    def submit(self, function, task):
        """Have a task done, and remember when."""
        future = super().submit(function, task)
        future.add_done_callback(lambda done: self._remember(task, done.result()))
        return future

    def _remember(self, task, outcome):
        accuracy = 0.0 if outcome.diverged else outcome.history[-1]["validation_accuracy"]
        epochs = len(outcome.history) - task.begun
        self.tasks.append((time.perf_counter() - self.start, accuracy, epochs))


def halving(packed, seed):
    """Search as bpnet does."""
    with Watched() as executor:
        search.run(
            tuple(packed),
            hidden=HIDDEN,
            eta=search.log(*ETA),
            mini_batch_size=MINI_BATCHES,
            lmbda=search.log(*LMBDA),
            output="log-likelihood",
            settings=SETTINGS,
            epochs=EPOCHS,
            factor=FACTOR,
            seeds=1,
            executor=executor,
            seed=seed,
            verbose=False,
        )
        return time.perf_counter() - executor.start, executor.tasks


def drawn(seed):
    """Return the settings that bpnet.search draws."""
    ranges = {
        "hidden": HIDDEN,
        "activation": "sigmoid",
        "eta": search.log(*ETA),
        "mini_batch_size": MINI_BATCHES,
        "lmbda": search.log(*LMBDA),
        "l1": 0.0,
        "rule": "plain",
    }
    found = {name: space.choices(name, values) for name, values in ranges.items()}
    return space.settings(found, SETTINGS, seed)


def hyperband(packed, seed):
    """Search as Optuna does."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tasks, start = [], time.perf_counter()

    def objective(trial):
        hidden = HIDDEN[trial.suggest_categorical("hidden", [*range(len(HIDDEN))])]
        eta = trial.suggest_float("eta", *ETA, log=True)
        net = bpnet.MLP([784, *hidden, 10], output="log-likelihood", dtype="float32", seed=seed)

        def report_epoch(net, epoch):
            trial.report(net.history[-1]["validation_accuracy"], epoch + 1)
            return trial.should_prune()

        net.train(
            packed[0],
            EPOCHS,
            trial.suggest_categorical("mini_batch_size", MINI_BATCHES),
            lambda epoch: eta * (1 - epoch / EPOCHS),
            lmbda=trial.suggest_float("lmbda", *LMBDA, log=True),
            validation_data=packed[1],
            callback=report_epoch,
        )
        accuracy, epochs = net.history[-1]["validation_accuracy"], len(net.history)
        tasks.append((time.perf_counter() - start, accuracy, epochs))
        if epochs < EPOCHS:
            raise optuna.TrialPruned
        return accuracy

    study = optuna.create_study(
        direction="maximize",
        study_name="digits",  # Hyperband deals trials out by it
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(1, EPOCHS, FACTOR),
    )
    study.optimize(objective, SETTINGS, n_jobs=WORKERS)
    return time.perf_counter() - start, tasks


def halving_cv(x, labels, n, seed):
    """Search as scikit-learn does, all but the first n examples being its fold."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV, PredefinedSplit
    from sklearn.neural_network import MLPClassifier

    settings = [
        {
            "hidden_layer_sizes": [tuple(each["hidden"])],
            "learning_rate_init": [each["eta"]],
            "batch_size": [each["mini_batch_size"]],
            "alpha": [each["lmbda"] * each["mini_batch_size"] / n],
        }
        for each in drawn(seed)
    ]
    # Also in the workers: so few epochs do not converge.
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tasks")
        start = time.time()
        HalvingRandomSearchCV(
            MLPClassifier(activation="logistic", solver="sgd", momentum=0.0, random_state=seed),
            settings,
            n_candidates=SETTINGS,
            resource="max_iter",
            min_resources=1,
            max_resources=EPOCHS,
            factor=FACTOR,
            cv=PredefinedSplit(np.where(np.arange(len(x)) < n, -1, 0)),
            scoring=functools.partial(scored, path, start),
            refit=False,
            return_train_score=False,
            random_state=seed,
            n_jobs=WORKERS,
        ).fit(x, labels)
        seconds = time.time() - start
        with open(path) as lines:
            return seconds, [json.loads(line) for line in lines]


def scored(path, start, model, x, labels):
    """Return a model's accuracy, and note when it was known, in whatever process."""
    accuracy = float((model.predict(x) == labels).mean())
    with open(path, "a") as file:
        file.write(json.dumps([time.time() - start, accuracy, model.n_iter_]) + "\n")
    return accuracy


if __name__ == "__main__":
    main()
