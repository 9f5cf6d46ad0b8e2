"""Bad input: one clear sentence, and nothing changed.  A row: what is given, and the words."""

import functools
import math
import types

import numpy as np
import pytest
from conftest import labelled, pairs
from nets import (
    CLASSES,
    FACES,
    SLOW,
    Frame,
    Sparse,
    count,
    each_class,
    face_of,
    make,
    passing,
    step,
    train,
    trainer_of,
)

from bpnet import MLP, Dataset, Network, Rule, network2, reference
from bpnet.training import Options

SIZES = [4, 5, 3]
X, Y = np.full((4, 1), 0.5), np.array([[1.0], [0.0], [0.0]])
GOOD, TEST = pairs(5, 4, 3), labelled(5, 4, 3)
SHAPE = "got shape"
NUMBER, COUNT = "must be a number, got", "must be an integer, got"

# Those that the core trains, and those whose costs or gradients are found in NumPy.
EVERY = [*FACES, *SLOW]
ALL = [*EVERY, "MLP"]
each_kind = pytest.mark.parametrize("kind", EVERY)
HELD_OUT = {
    "network": ["test_data", "validation_data"],
    "network2": ["evaluation_data", "validation_data"],
    "MLP": ["validation_data"],
}


def rows(kinds, table):
    """Return parameters (kinds, *row) for each row, whose id is the sentence."""
    return [pytest.param(kinds, *row, id=row[-1][:80]) for row in table]


def refuses(call, sentence):
    """Assert that call raises just this."""
    with pytest.raises(Exception) as raised:
        call()
    assert f"{type(raised.value).__name__}: {raised.value}" == sentence


# The constructors


MEMORY = "MemoryError: sizes {} make a network of {} parameters, which do not fit in memory"
LARGE, LARGER = [10**6, 10**7], [10**10, 10**10]
CONSTRUCTORS = [
    ({"sizes": []}, "ValueError: sizes must list two layers or more, got []"),
    ({"sizes": [3]}, "ValueError: sizes must list two layers or more, got [3]"),
    ({"sizes": [0, 3]}, "ValueError: sizes[0] must be at least 1, got 0"),
    ({"sizes": [3, -2]}, "ValueError: sizes[1] must be at least 1, got -2"),
    ({"sizes": [3, 2.0]}, f"TypeError: sizes[1] {COUNT} 2.0"),
    ({"sizes": ["3", 2]}, f"TypeError: sizes[0] {COUNT} '3'"),
    ({"sizes": [3, None]}, f"TypeError: sizes[1] {COUNT} None"),
    ({"sizes": 7}, "TypeError: sizes must list the neurons of each layer, got 7"),
    ({"sizes": None}, "TypeError: sizes must list the neurons of each layer, got None"),
    ({"sizes": LARGER}, MEMORY.format(LARGER, "100,000,000,010,000,000,000")),
    ({"sizes": LARGE}, MEMORY.format(LARGE, "10,000,010,000,000")),
    ({"sizes": [2**64, 2]}, f"ValueError: sizes[0] must be at most {2**63 - 1}, got {2**64}"),
    *(
        ({"dtype": dtype}, f"ValueError: dtype must be float32 or float64, got {dtype!r}")
        for dtype in ("int32", "f2", "float16", None, "real")
    ),
    ({"seed": -1}, "ValueError: seed must be at least 0, got -1"),
    ({"seed": 2**32}, "ValueError: seed must be at most 4294967295, got 4294967296"),
    ({"seed": "1"}, f"TypeError: seed {COUNT} '1'"),
]


@pytest.mark.parametrize(("kinds", "options", "sentence"), rows(CLASSES, CONSTRUCTORS))
def test_arguments_of_a_constructor(kinds, options, sentence, nothing_changes):
    """Before anything is drawn."""
    for kind in kinds:
        with nothing_changes():
            refuses(lambda cls=CLASSES[kind].cls: cls(**{"sizes": SIZES} | options), sentence)


def test_sizes_at_the_edge_of_the_address_space_do_not_overflow():
    for exponent in range(28, 63):
        with pytest.raises(MemoryError, match="do not fit in memory"):
            Network([2**exponent, 2**exponent])


NO_COSTS = ["CrossEntropyCost", None, object, types.SimpleNamespace(fn=3, delta=len)]


@pytest.mark.parametrize("cost", NO_COSTS)
def test_a_cost_without_its_functions(cost, nothing_changes):
    with nothing_changes():
        sentence = f"TypeError: cost must have functions fn and delta, got {cost!r}"
        refuses(lambda: network2.Network(SIZES, cost), sentence)


# Arguments of SGD


def counts(name, least):
    return [
        (
            {name: least - 1},
            f"ValueError: {name} must be at least {least}, got {least - 1}",
        ),
        ({name: -(10**30)}, f"ValueError: {name} must be at least {least}, got {-(10**30)}"),
        *(
            ({name: value}, f"TypeError: {name} {COUNT} {value!r}")
            for value in (2.5, "2", math.nan)
        ),
    ]


def numbers(name, optional=False):
    wrong = ["3.0", b"3", 1j, [3.0]] + [None] * (not optional)
    infinite = [math.nan, math.inf, 10**400]
    return [
        *(({name: value}, f"TypeError: {name} {NUMBER} {value!r}") for value in wrong),
        *(
            ({name: value}, f"ValueError: {name} must be finite in float64, got {value!r}")
            for value in infinite
        ),
    ]


def at_least_0(name):
    return [
        ({name: value}, f"ValueError: {name} must be at least 0, got {value}")
        for value in (-1, -0.1)
    ]


SINGLE = {"dtype": "float32"}
VERBOSE = 'ValueError: verbose must be False, True or "bar", got'
NOT_BOTH = "ValueError: early_stopping_n must be 0 where patience is given"
NO_EXAMPLE = "must hold at least one example, got none"
SGD = [  # {held}: what the face calls held-out data
    *counts("epochs", 0),
    ({"epochs": None}, f"TypeError: epochs {COUNT} None"),
    *counts("mini_batch_size", 1),
    ({"mini_batch_size": None}, f"TypeError: mini_batch_size {COUNT} None"),
    *counts("n_threads", 1),
    ({"n_threads": None}, f"TypeError: n_threads {COUNT} None"),
    *numbers("eta"),
    ({"eta": -math.inf}, "ValueError: eta must be finite in float64, got -inf"),
    *(
        ({name: 1e39} | SINGLE, f"ValueError: {name} must be finite in float32, got 1e+39")
        for name in ("eta", "lmbda", "l1")
    ),
    *(row for name in ("lmbda", "l1") for row in numbers(name) + at_least_0(name)),
    *counts("patience", 1),
    *counts("shuffle_rows", 1),
    *(
        row
        for name in ("min_update", "max_error", "max_seconds")
        for row in numbers(name, optional=True) + at_least_0(name)
    ),
    ({"max_error": 1.5}, "ValueError: max_error must be at most 1, all examples, got 1.5"),
    *numbers("min_delta"),
    *at_least_0("min_delta"),
    ({"callback": 3}, "TypeError: callback must be a function of (net, epoch), got 3"),
    ({"verbose": "loud"}, f"{VERBOSE} 'loud'"),
    ({"verbose": None}, f"{VERBOSE} None"),
    ({"checkpoint_seconds": -1}, "ValueError: checkpoint_seconds must be at least 0, got -1"),
    ({"patience": 2, "{held}": None}, "ValueError: patience needs {held}, got None"),
    *(
        ({name: 1, "{held}": nothing}, "ValueError: {held} " + NO_EXAMPLE)
        for name in ("patience", "max_error")
        for nothing in ([], iter([]), (np.zeros((0, 4)), np.zeros(0, int)))
    ),
]
NEITHER = "ValueError: max_error needs validation_data or test_data, got neither"
MONITORS = "ValueError: monitor must list some of training_cost, training_accuracy"
CHAPTER_1 = [
    ({"max_error": 0.1, "validation_data": None}, NEITHER),
    (
        {"patience": 2, "validation_data": None, "test_data": TEST},
        "ValueError: patience needs validation_data, got None",
    ),
    ({"monitor": ["test_cost"], "validation_data": None}, f"{MONITORS}, got 'test_cost'"),
    *(
        ({"monitor": it, "validation_data": None}, f"Type{MONITORS[5:]}, got {it!r}")
        for it in (None, 3)
    ),
    (
        {"monitor": ["cost"], "test_data": TEST, "validation_data": None},
        f"{MONITORS}, test_cost, test_accuracy, got 'cost'",
    ),
    (
        {"monitor": "validation_cost", "validation_data": [(X, 3)]},
        "ValueError: validation_data[0]: label must be an integer in [0, 3), got 3",
    ),
    (
        {"monitor": "validation_cost", "validation_data": []},
        f"ValueError: validation_data {NO_EXAMPLE}",
    ),
]
LOOKS = ["early_stopping_n", "monitor_evaluation_cost", "monitor_evaluation_accuracy"]
CHAPTER_3 = [
    *(
        (
            {name: 1, "evaluation_data": None},
            f"ValueError: {name} needs evaluation_data, got None",
        )
        for name in ("max_error", *LOOKS)
    ),
    *(
        ({name: 1, "evaluation_data": nothing}, f"ValueError: evaluation_data {NO_EXAMPLE}")
        for name in LOOKS
        for nothing in ([], iter([]))
    ),
    (
        {"monitor_evaluation_cost": True, "evaluation_data": [(X, 3)]},
        "ValueError: evaluation_data[0]: label must be an integer in [0, 3), got 3",
    ),
    (
        {"evaluation_data": TEST, "validation_data": TEST},
        "ValueError: validation_data must be None where evaluation_data is given",
    ),
    (
        {"monitor": ["test_cost"], "evaluation_data": TEST},
        f"{MONITORS}, evaluation_cost, evaluation_accuracy, got 'test_cost'",
    ),
    (
        {"monitor": ["validation_cost"], "evaluation_data": None},
        f"{MONITORS}, got 'validation_cost'",
    ),
    ({"early_stopping_n": 3, "patience": 3}, NOT_BOTH),
    ({"early_stopping_n": 1.5}, f"TypeError: early_stopping_n {COUNT} 1.5"),
    ({"early_stopping_n": "3"}, f"TypeError: early_stopping_n {COUNT} '3'"),
]
MOMENTUM = [
    *at_least_0("mu"),
    ({"mu": "0.5"}, f"TypeError: mu {NUMBER} '0.5'"),
    ({"mu": [0.5]}, f"TypeError: mu {NUMBER} [0.5]"),
    ({"mu": 1}, "ValueError: mu must be less than 1, got 1.0"),
    (
        {"mu": 0.5, "rule": Rule("momentum", mu=0.9)},
        "ValueError: mu must be 0 where rule is Rule('momentum', mu=0.9), got 0.5",
    ),
    ({"mu": 0.5, "rule": "adam"}, "ValueError: mu must be 0 where rule is 'adam', got 0.5"),
]
ONE_OF = f"must be one of {', '.join(reference.RULES)}"
OPTIONS = "beside those that are listed there are " + ", ".join(Options.__annotations__)
RULES = [
    *(
        ({"rule": rule}, f"TypeError: rule must be a name or a bpnet.Rule, got {rule!r}")
        for rule in (5, None, ["plain"], Rule)
    ),
    *(({"rule": name}, f"ValueError: rule {ONE_OF}, got {name!r}") for name in ("", "Adam")),
    ({"hidden": "tanh"}, f"TypeError: there is no argument 'hidden': {OPTIONS}"),
]
OF_AN_MLP = [
    ({"mu": 0.5}, f"TypeError: there is no argument 'mu': {OPTIONS}"),
    (
        {"monitor": ["test_cost"]},
        f"{MONITORS}, validation_cost, validation_accuracy, got 'test_cost'",
    ),
]
OWN_STEP = "l1 and mu must be 0 where update_mini_batch is overridden"
TABLE = [
    *rows(ALL, SGD),
    *rows(EVERY, MOMENTUM),
    *rows(ALL, RULES),
    *rows(["MLP"], OF_AN_MLP),
    *rows(["network", "network, backprop"], CHAPTER_1),
    *rows(["network2", "network2, own cost"], CHAPTER_3),
    *rows(
        ["network, update_mini_batch"],
        [({name: 0.1}, f"ValueError: lmbda, {OWN_STEP}") for name in ("lmbda", "l1", "mu")],
    ),
    *rows(
        ["network2, update_mini_batch"],
        [({name: 0.1}, f"ValueError: {OWN_STEP}") for name in ("l1", "mu")],
    ),
]


@pytest.mark.parametrize(("kinds", "options", "sentence"), TABLE)
def test_arguments_of_sgd(kinds, options, sentence, nothing_changes):
    for kind in kinds:
        held = face_of(kind).held_out
        given = {held: TEST} | {key.format(held=held): options[key] for key in options}
        net, data = make(kind, sizes=SIZES, dtype=given.pop("dtype", "float64")), list(GOOD)
        train(net, list(GOOD), 1)
        given = {"epochs": 2, "mini_batch_size": 2, "eta": 0.1} | given
        with nothing_changes(net, data, *given.values()):
            call = functools.partial(trainer_of(net), data, **given)
            refuses(call, sentence.format(held=held))


def test_no_cost_is_recorded_of_a_network_whose_derivative_is_the_scripts_own():
    net = passing(Network, "cost_derivative")(SIZES, seed=5)
    sentence = "ValueError: monitor must list no cost where cost_derivative is overridden"
    monitor = ["training_accuracy", "training_cost"]
    refuses(lambda: train(net, list(GOOD), monitor=monitor), sentence)
    train(net, list(GOOD), monitor="training_accuracy")
    assert len(net.history) == 3


# Arguments of the other methods


NO_LIST = "TypeError: {} must be a list of (x, y) or a pair of arrays (X, Y), got"
FLAT = "has shape ({0},), expected ({0}, 1): use {1}.reshape(-1, 1)"
PLACE = " in row 0, column 0"
RAGGED = " of items that differ in length"
OUTPUTS = ": outputs that are no labels have shape (n, 1), use y.reshape(-1, 1)"
TEXT = "float() reads numbers, np.unique(y, return_inverse=True)[1] numbers classes"
METHODS = {
    "network": [
        ("evaluate", (3,), f"{NO_LIST.format('test_data')} int"),
        ("update_mini_batch", ([], 0.1), f"ValueError: mini_batch {NO_EXAMPLE}"),
        *(
            ("update_mini_batch", (GOOD, options["eta"]), sentence)
            for options, sentence in numbers("eta")
        ),
    ],
    "network2": [
        ("update_mini_batch", ([], 0.5, 0.1, 3), f"ValueError: mini_batch {NO_EXAMPLE}"),
        *(
            ("update_mini_batch", (GOOD, options["eta"], 0.1, 3), sentence)
            for options, sentence in numbers("eta")
        ),
        *(
            ("update_mini_batch", (GOOD, 0.5, options["lmbda"], 3), sentence)
            for options, sentence in numbers("lmbda") + at_least_0("lmbda")
        ),
        ("update_mini_batch", (GOOD, 0.5, 0.1, 0), "ValueError: n must be at least 1, got 0"),
        ("update_mini_batch", (GOOD, 0.5, 0.1, 3.5), f"TypeError: n {COUNT} 3.5"),
        *(
            ("total_cost", (GOOD, options["lmbda"]), sentence)
            for options, sentence in numbers("lmbda") + at_least_0("lmbda")
        ),
        ("accuracy", (3,), f"{NO_LIST.format('data')} int"),
        ("total_cost", (3, 0.1), f"{NO_LIST.format('data')} int"),
        ("total_cost", ([], 0.1), f"ValueError: data {NO_EXAMPLE}"),
        (
            "total_cost",
            ([(X, np.ones(3))], 0.1),
            f"ValueError: data[0]: y {FLAT.format(3, 'y')}",
        ),
        (
            "total_cost",
            (GOOD + TEST, 0.1),
            "ValueError: data[5]: y has shape (), expected (3, 1)",
        ),
    ],
}
TABLE = [
    row
    for face in FACES
    for row in rows([k for k in EVERY if face_of(k) is FACES[face]], METHODS[face])
]


@pytest.mark.parametrize(("kinds", "method", "arguments", "sentence"), TABLE)
def test_arguments_of_methods(kinds, method, arguments, sentence, nothing_changes):
    """The same words whether the core computes or NumPy, which would broadcast."""
    for kind in kinds:
        net = make(kind, sizes=SIZES)
        with nothing_changes(net, *arguments):
            refuses(functools.partial(getattr(net, method), *arguments), sentence)


def test_a_generator_is_not_read_where_lmbda_is_refused():
    data = iter(GOOD)
    refuses(
        lambda: make("network2", sizes=SIZES).total_cost(data, -1),
        "ValueError: lmbda must be at least 0, got -1",
    )
    assert len(list(data)) == 5


# x and y


REAL = "TypeError: {0} must be an array of real numbers, got"
COLUMNS = {  # {0}: x or y, of four items
    "flat": (
        np.ones(4),
        "ValueError: {0} has shape (4,), expected (4, 1): use {0}.reshape(-1, 1)",
    ),
    "row": (
        np.ones((1, 4)),
        "ValueError: {0} has shape (1, 4), expected (4, 1): columns are examples, use {0}.T",
    ),
    "square": (np.ones((2, 2)), "ValueError: {0} has shape (2, 2), expected (4, 1)"),
    "short": (np.ones((3, 1)), "ValueError: {0} has shape (3, 1), expected (4, 1)"),
    "number": (1.0, "ValueError: {0} has shape (), expected (4, 1)"),
    "cube": (np.ones((4, 1, 1)), "ValueError: {0} has shape (4, 1, 1), expected (4, 1)"),
    "cube of a row": (
        np.ones((1, 4, 1)),
        "ValueError: {0} has shape (1, 4, 1), expected (4, 1)",
    ),
    "empty": (np.ones((0, 1)), "ValueError: {0} has shape (0, 1), expected (4, 1)"),
    "complex": (
        np.ones((4, 1), complex),
        f"{REAL} dtype complex128: use real and imaginary parts, or absolute values",
    ),
    "words": (np.full((4, 1), "one"), f"{REAL} dtype <U3: {TEXT}"),
    "dates": (
        np.full((4, 1), np.datetime64("2020-01-01")),
        f"{REAL} dtype datetime64[D]: subtract a date, and divide by np.timedelta64(1, 'D')",
    ),
    "objects": (np.full((4, 1), object()), f"{REAL} object in row 0, column 0"),
    "None": (None, f"{REAL} NoneType"),
    "ragged": (
        [[1.0, 2.0], [3.0], [4.0], [5.0]],
        f"{REAL} list{RAGGED}",
    ),
    "NaN": (
        np.array([[1.0], [np.nan], [0], [0]]),
        "ValueError: {0} must be finite in float64, got nan",
    ),
    "infinity": (
        np.array([[1.0], [0], [-np.inf], [0]]),
        "ValueError: {0} must be finite in float64, got -inf",
    ),
}


def at(where, sentence):
    """Return the sentence with its error, about an example."""
    error, words = sentence.split(": ", 1)
    return f"{error}: {where}: {words}"


def calls(net, training=None, tests=None):
    """Yield (name, call) of all that takes training data, or tests."""
    if training is not None:
        yield face_of(net).name, lambda: trainer_of(net)(training, 1, 2, 0.1)
        if isinstance(net, MLP):
            yield "examples", lambda: net.gradient(training)
            yield "examples", lambda: net.gradients(training)
            yield "examples", lambda: net.cost(training)
        else:
            yield "mini_batch", lambda: step(net, training, 0.1)
    if tests is not None:
        yield face_of(net).counted, lambda: count(net, tests)
        for name in next(HELD_OUT[f] for f in CLASSES if CLASSES[f] is face_of(net)):
            given = {name: tests, **face_of(net).counts}
            yield name, functools.partial(trainer_of(net), list(GOOD), 1, 2, 0.1, **given)


@pytest.mark.parametrize("name", COLUMNS)
def test_x(name, nothing_changes):
    x, sentence = COLUMNS[name]
    for kind in EVERY:
        sentence, net = sentence.format("x"), make(kind, sizes=SIZES)
        for position, times in ((0, 1), (3, 1), (198, 40)):
            data, tests = GOOD * times, TEST * times
            data[position], tests[position] = (x, Y), (x, 0)
            with nothing_changes(net, data, tests):
                refuses(lambda: net.feedforward(x), sentence)
                refuses(lambda: net.backprop(x, Y), sentence)
                for where, call in calls(net, data, tests):
                    refuses(call, at(f"{where}[{position}]", sentence))


@pytest.mark.parametrize("name", COLUMNS)
def test_y(name, nothing_changes):
    y, sentence = COLUMNS[name]
    for kind in EVERY:
        sentence, net, x = sentence.format("y"), make(kind, sizes=[3, 4]), np.ones((3, 1))
        data = [(x, np.ones((4, 1))), (x, y)]
        with nothing_changes(net, data):
            refuses(lambda: net.backprop(x, y), sentence)
            for where, call in calls(net, data):
                refuses(call, at(f"{where}[1]", sentence))


@each_kind
def test_x_that_overflows_in_float32(kind, nothing_changes):
    net, data = make(kind, sizes=SIZES, dtype="float32"), [*GOOD, (1e39 * X, Y)]
    sentence = "ValueError: x must be finite in float32, got inf"
    with nothing_changes(net, data):
        refuses(lambda: net.feedforward(1e39 * X), sentence)
        for where, call in calls(net, data):
            refuses(call, at(f"{where}[5]", sentence))


def test_the_first_example_that_is_not_finite_is_named():
    """More examples than are looked at together."""
    net, examples = make("network", sizes=[40, 3], dtype="float32"), pairs(3000, 40, 3)
    for i in (0, 1, 1638, 1639, 2999):
        for bad in (np.nan, -np.inf, 1e39):
            given, (x, y) = list(examples), examples[i]
            given[-1] = np.full((40, 1), np.inf), y
            given[i] = np.where(np.eye(40)[:, [i % 40]], bad, x), y
            found = "inf" if bad == 1e39 else bad
            sentence = (
                f"ValueError: training_data[{i}]: x must be finite in float32, got {found}"
            )
            refuses(lambda given=given: net.SGD(given, 1, 10, 0.5), sentence)


# Examples


ROWS = np.ones((2, 4))
PAIR = "ValueError: {}"
AS_MANY = "ValueError: {} must be arrays (X, Y) of as many rows, got shapes"
EXAMPLES = [  # {}: the argument's name
    ([], "ValueError: {} " + NO_EXAMPLE),
    (iter([]), "ValueError: {} " + NO_EXAMPLE),
    ((np.ones((0, 4)), np.ones((0, 3))), "ValueError: {} " + NO_EXAMPLE),
    (None, f"{NO_LIST} NoneType"),
    (5, f"{NO_LIST} int"),
    ([(X, Y), 5], "TypeError: {}[1] must be a pair (x, y), got int"),
    ([(X, Y), (X,)], "TypeError: {}[1] must be a pair (x, y), got tuple"),
    ([(X, Y), (X[:3], Y)], "ValueError: {}[1]: x has shape (3, 1), expected (4, 1)"),
    ([(X, Y), (X, Y[:2])], "ValueError: {}[1]: y has shape (2, 1), expected (3, 1)"),
    ([(X, Y), (X, 1)], "ValueError: {}[1]: y has shape (), expected (3, 1)"),
    ([(X, Y), (X, np.nan * Y)], "ValueError: {}[1]: y must be finite in float64, got nan"),
    ([(X, Y), (X * np.inf, Y)], "ValueError: {}[1]: x must be finite in float64, got inf"),
    ([(X[:, 0], Y)], "ValueError: {}[0]: x " + FLAT.format(4, "x")),
    ((ROWS, np.ones((3, 3))), f"{AS_MANY} (2, 4) and (3, 3)"),
    (
        (np.full((2, 4), np.nan), np.array([0, 1])),
        "ValueError: {}[0] must be finite in float64, got nan" + PLACE,
    ),
    (
        (ROWS, np.full((2, 3), np.inf)),
        "ValueError: {}[1] must be finite in float64, got inf" + PLACE,
    ),
]
OF_A_NETWORK = [
    ([(X, Y), (X, 2)], "ValueError: {}[1]: y has shape (), expected (3, 1)"),
    ((np.ones((2, 5)), np.ones((2, 3))), "ValueError: {}[0] has shape (2, 5), expected (2, 4)"),
    ((ROWS, np.ones((2, 2))), "ValueError: {}[1] has shape (2, 2), expected (2, 3)"),
    (
        (ROWS, np.array([0, 3])),
        "ValueError: {}[1][1]: label must be an integer in [0, 3), got 3",
    ),
    (
        (ROWS, np.array([0.5, 1])),
        "ValueError: {}[1][0]: label must be an integer in [0, 3), got 0.5",
    ),
]
OF_A_DATASET = [
    ([(X[:0], Y)], "ValueError: {}[0]: x has shape (0, 1), expected (1, 1)"),
    (
        [(X, [[1], [2, 3]])],
        "TypeError: {}[0]: y must be an array of real numbers, got list" + RAGGED,
    ),
    *(
        (
            [(X, 1), (X, label)],
            f"{error}: {{}}[1]: label must be an integer of at least 0, got {label}{more}",
        )
        for label, error, more in (
            (-1, "ValueError", OUTPUTS),
            (1.5, "ValueError", OUTPUTS),
            (None, "TypeError", ""),
        )
    ),
    ((X[0], Y), "ValueError: {}[0] must have shape (n, n_in), got shape (1,)"),
    ((X[:, :0], Y), "ValueError: {}[0] must have shape (n, n_in), got shape (4, 0)"),
    ((X, Y), f"{AS_MANY} (4, 1) and (3, 1)"),
    (
        (X, np.ones((4, 2, 1))),
        "ValueError: {}[1] must have shape (n, n_out) or (n,), got shape (4, 2, 1)",
    ),
    (
        (X, np.array([0, 1, 2, -2])),
        "ValueError: {}[1][3]: label must be an integer of at least 0, got -2" + OUTPUTS,
    ),
    (
        (X * np.inf, X),
        "ValueError: {}[0] must be finite in float64, got inf" + PLACE,
    ),
    (
        (X, X * np.inf),
        "ValueError: {}[1] must be finite in float64, got inf" + PLACE,
    ),
]


@pytest.mark.parametrize(("kinds", "given", "sentence"), rows(ALL, EXAMPLES + OF_A_NETWORK))
def test_training_data(kinds, given, sentence, nothing_changes):
    for kind in kinds:
        net = make(kind, sizes=SIZES)
        with nothing_changes(net, given):
            for name, call in calls(net, given):
                refuses(call, sentence.format(name))


@pytest.mark.parametrize(("given", "sentence"), EXAMPLES + OF_A_DATASET)
def test_examples_of_a_dataset(given, sentence, nothing_changes):
    with nothing_changes(given):
        refuses(lambda: Dataset(given), sentence.format("examples"))


def test_dtype_of_a_dataset():
    sentence = "ValueError: dtype must be float32 or float64, got 'int8'"
    refuses(lambda: Dataset(GOOD, dtype="int8"), sentence)


@pytest.mark.parametrize("y", [np.zeros(4, int), np.array(0), np.zeros((4, 3))])
@pytest.mark.parametrize("hook", [None, "feedforward"])
@each_class
def test_answers_are_as_many_as_inputs_also_where_a_script_counts(kind, hook, y):
    net = make(kind, sizes=SIZES)
    if hook and kind != "MLP":
        net.feedforward = lambda a: np.zeros((3, 1))
    x, given = np.ones((5, 4)), face_of(kind).counted
    refuses(lambda: count(net, (x, y)), f"{AS_MANY.format(given)} (5, 4) and {y.shape}")


MISFITS = [
    (
        Dataset(GOOD, dtype="float32"),
        "ValueError: {} must be a Dataset of the network's dtype, float64, got float32",
    ),
    *(
        (
            Dataset(pairs(3, n_in, n_out)),
            f"ValueError: {{}} has {n_in} inputs and {n_out} outputs, expected 4 and 3 "
            "to match sizes [4, 5, 3]",
        )
        for n_in, n_out in ((5, 3), (4, 2))
    ),
    (
        Dataset(labelled(3, 5, 3)),
        "ValueError: {} has 5 inputs, expected 4 to match sizes [4, 5, 3]",
    ),
    (
        Dataset([(X, label) for label in (0, 2, 3)]),
        "ValueError: {}[2]: label must be an integer in [0, 3), got 3",
    ),
]


@pytest.mark.parametrize(("kinds", "dataset", "sentence"), rows(ALL, MISFITS))
def test_a_dataset_that_does_not_fit(kinds, dataset, sentence, nothing_changes):
    for kind in kinds:
        net = make(kind, sizes=SIZES)
        with nothing_changes(net):
            for name, call in calls(net, dataset, dataset):
                refuses(call, sentence.format(name))
            if hasattr(net, "total_cost"):
                call = functools.partial(net.total_cost, dataset, 0.1)
                refuses(call, sentence.format("data"))


# Forms of examples that are refused: what is given, the error, and its words after the name of
# the argument, which is {}.


TABLE_OF = np.arange(20.0).reshape(5, 4) / 20
ANSWERS = np.array([0, 1, 2, 0, 1])
NUMBERS = " must be an array of real numbers, got"
ALONE = " must be a list of (x, y) or a pair of arrays (X, Y), got {} alone: use (X, Y), the"
TWO_LISTS = " must not be a list of two lists, which may be (X, Y) or two examples: use a tuple"
HOLES = np.ma.array(TABLE_OF, mask=TABLE_OF == 0.5)
MASKED = "must have no masked items, got MaskedArray: use {}.filled(0), or drop such examples"
WORDS = np.array(["cat", "dog", "cat", "cow", "dog"])
DATES = np.arange(5).astype("M8[D]")


def holed(hole, shape=(5, 4)):
    found = np.full(shape, 1.0, object)
    found[-1] = hole
    return found


class NAType:
    """pandas' missing number, by its name."""


class Refusing(Frame):
    """A tensor that is elsewhere."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("use Tensor.cpu()")


REFUSED = {
    "a frame": (Frame(TABLE_OF), TypeError, ALONE.format("Frame")),
    "an array": (TABLE_OF, TypeError, ALONE.format("ndarray")),
    "a sparse matrix": (Sparse(TABLE_OF), TypeError, ALONE.format("Sparse")),
    "rows": (
        TABLE_OF.tolist(),
        TypeError,
        "[0] must be a pair (x, y), got list: rows and what",
    ),
    "two lists of two": ([TABLE_OF[:2].tolist(), [0, 1]], TypeError, TWO_LISTS),
    "examples as columns": (
        (TABLE_OF.T, ANSWERS),
        ValueError,
        "[0] has shape (4, 5), expected (4, 4): rows are examples, use {}[0].T",
    ),
    "images": (
        (TABLE_OF.reshape(5, 2, 2), ANSWERS),
        ValueError,
        "[0] has shape (5, 2, 2), expected (5, 4): use {}[0].reshape(5, 4)",
    ),
    "one example": (
        (TABLE_OF[0], ANSWERS[:1]),
        ValueError,
        "[0] has shape (4,), expected (4, 4): use {}[0].reshape(1, -1)",
    ),
    "rows that differ": (
        ([[1.0] * 4, [1.0] * 3], [0, 1]),
        TypeError,
        f"[0]{NUMBERS} list{RAGGED}",
    ),
    "sparse labels": (
        (TABLE_OF, Sparse(np.eye(3)[ANSWERS])),
        TypeError,
        f"[1]{NUMBERS} Sparse: use {{}}[1].toarray()",
    ),
    "wide": (
        (Sparse(np.ones((1, 70000))), ANSWERS[:1]),
        ValueError,
        "[0] has shape (1, 70000), expected (1, 4)",
    ),
    "holes": ((HOLES, ANSWERS), ValueError, "[0] " + MASKED.format("{}[0]")),
    "rows with holes": (
        (list(HOLES), ANSWERS),
        ValueError,
        "[0] must have no masked items, got list: use {}[0].filled(0), or drop",
    ),
    "labels with holes": (
        (TABLE_OF, np.ma.array(ANSWERS, mask=ANSWERS == 2)),
        ValueError,
        "[1] " + MASKED.format("{}[1]"),
    ),
    "a missing number": (
        (Frame(holed(NAType())), ANSWERS),
        TypeError,
        f"[0]{NUMBERS} NAType in row 4, column 0: drop or fill what is missing",
    ),
    "None": (
        (holed(None), ANSWERS),
        TypeError,
        f"[0]{NUMBERS} NoneType in row 4, column 0: drop",
    ),
    "NaN": (
        (np.where(TABLE_OF == 0.5, np.nan, TABLE_OF), ANSWERS),
        ValueError,
        "[0] must be finite in float64, got nan in row 2, column 2",
    ),
    "NaN of a sparse matrix": (
        (Sparse(np.where(TABLE_OF == 0.5, np.nan, TABLE_OF)), ANSWERS),
        ValueError,
        "[0] must be finite in float64, got nan in row 2, column 2",
    ),
    "a huge integer": (
        (holed(10**400), ANSWERS),
        ValueError,
        "[0] must be finite in float64, got a larger integer",
    ),
    "text": ((TABLE_OF.astype(str), ANSWERS), TypeError, f"[0]{NUMBERS} dtype <U32: {TEXT}"),
    "a column of text": (
        (Frame(holed("cat")), ANSWERS),
        TypeError,
        f"[0]{NUMBERS} str in row 4",
    ),
    "labels of text": ((TABLE_OF, WORDS), TypeError, f"[1]{NUMBERS} dtype <U3: {TEXT}"),
    "labels of text in a list": (
        (TABLE_OF, WORDS.tolist()),
        TypeError,
        f"[1]{NUMBERS} dtype <U3: {TEXT}",
    ),
    "labels of text in a Series": (
        (TABLE_OF, Frame(WORDS.astype(object))),
        TypeError,
        f"[1]{NUMBERS} str in item 0: {TEXT}",
    ),
    "labels that are dates": (
        (TABLE_OF, DATES),
        TypeError,
        f"[1]{NUMBERS} dtype datetime64[D]: subtract a date, and divide by np.timedelta64(1",
    ),
    "spans of time": (
        (TABLE_OF, DATES - DATES[0]),
        TypeError,
        f"[1]{NUMBERS} dtype timedelta64[D]: divide by np.timedelta64(1, 'D')",
    ),
    "records": (
        (np.zeros(5, "f8, f8, f8, f8"), ANSWERS),
        TypeError,
        "[0]" + NUMBERS + " dtype [('f0', '<f8'), ('f1', '<f8'), ('f2', '<f8'), ('f3', '<f8')]"
        ": use numpy.lib.recfunctions.structured_to_unstructured",
    ),
    "a tensor elsewhere": (
        (Refusing(TABLE_OF), ANSWERS),
        TypeError,
        f"[0]{NUMBERS} Refusing: use Tensor.cpu()",
    ),
    "fractions of labels": (
        (TABLE_OF, ANSWERS + 0.5),
        ValueError,
        "[1][0]: label must be an integer in [0, 3), got 0.5",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", ALL)
def test_a_form_of_examples_that_is_refused_has_its_remedy(kind, name, nothing_changes):
    given, error, words = REFUSED[name]
    net = make(kind, sizes=SIZES)
    with nothing_changes(net):
        for where, call in calls(net, given):
            sentence = f"{error.__name__}: {where}{words.replace('{}', where)}"
            with pytest.raises(error) as raised:
                call()
            assert f"{type(raised.value).__name__}: {raised.value}".startswith(sentence)


def of_columns(shape, columns):
    """Return a sparse matrix of this shape that has ones in columns of its first row."""
    found = Sparse(np.zeros((1, 1)))
    found.shape, found.nnz = shape, len(columns)
    found.indptr = np.append(0, np.full(shape[0], len(columns)))
    found.indices, found.data = np.array(columns, np.int64), np.ones(len(columns))
    return found


def test_a_sparse_matrix_of_more_columns_than_the_core_numbers():
    sentence = (
        "ValueError: examples[0] must have at most 2,147,483,647 columns to be sparse, got "
        "2,147,483,648: choose fewer"
    )
    refuses(lambda: Dataset((of_columns((1, 2**31), [5]), [0])), sentence)
    assert Dataset((of_columns((1, 2**31 - 1), [5]), [0])).nbytes < 100


@pytest.mark.parametrize("n_in", [7, 70_000])
@pytest.mark.parametrize("beyond", [-1, 0, 2**16, 2**32 - 7])
def test_a_sparse_matrix_whose_columns_are_none_of_its_own(n_in, beyond):
    """Cut to the core's width, each of the last three would be a column."""
    wrong = beyond if beyond < 0 else n_in + beyond
    least, most = min(wrong, 3), max(wrong, 3)
    sentence = f"must have columns in [0, {n_in}), got {least} to {most}"
    x = of_columns((1, n_in), [3, wrong])
    refuses(lambda: Dataset((x, [0])), f"ValueError: examples[0] {sentence}")
    refuses(lambda: MLP([n_in, 1], seed=1).predict(x), f"ValueError: examples {sentence}")


def masked_item(shape):
    found = np.ma.array(np.ones(shape), mask=np.zeros(shape, bool))
    found[(0,) * len(shape)] = np.ma.masked
    return found


HOLE = masked_item((4, 1))
MASKED_AT = {
    "x": lambda net: net.feedforward(HOLE),
    "backprop's x": lambda net: net.backprop(HOLE, Y),
    "backprop's y": lambda net: net.backprop(X, masked_item((3, 1))),
    "an example's x": lambda net: train(net, [(X, Y), (HOLE, Y)]),
    "an example's y": lambda net: train(net, [(X, Y), (X, masked_item((3, 1)))]),
    "a label to train on": lambda net: train(net, [(X, 1), (X, np.ma.masked)]),
    "a label": lambda net: count(net, [(X, 1), (X, np.ma.masked)]),
    "a label of an array": lambda net: count(net, [(X, 1), (X, masked_item((1,)))]),
    "outputs to count": lambda net: count(net, [(X, Y), (X, masked_item((3, 1)))]),
    "weights": lambda net: setattr(net, "weights", [masked_item((5, 4)), np.ones((3, 5))]),
    "biases": lambda net: setattr(net, "biases", [masked_item((5, 1)), np.ones((3, 1))]),
    "weights of examples": lambda net: Dataset(GOOD, weights=masked_item((5,))),
    "a Dataset's X": lambda net: Dataset((masked_item((5, 4)), ANSWERS)),
    "a Dataset's x": lambda net: Dataset([(HOLE, 0)]),
}


@pytest.mark.parametrize("place", MASKED_AT)
@each_kind
def test_what_is_masked_is_never_taken_for_a_number(kind, place, nothing_changes):
    net = make(kind, sizes=SIZES)
    with pytest.raises(ValueError, match=r"must have no masked items, got .*: use .*filled"):
        MASKED_AT[place](net)
        train(net, list(GOOD), 1)


# Labels


LABEL = "{}: label must be an integer in [0, 3), got"
VECTOR = "ValueError: {} must have labels, or vectors of 3 outputs, got shape"
LABELS = {
    "too large": (3, f"ValueError: {LABEL} 3"),
    "negative": (-1, f"ValueError: {LABEL} -1"),
    "2**62": (2**62, f"ValueError: {LABEL} {2**62}"),
    "fraction": (1.5, f"ValueError: {LABEL} 1.5"),
    "NaN": (np.nan, f"ValueError: {LABEL} nan"),
    "infinity": (np.inf, f"ValueError: {LABEL} inf"),
    "complex": (1j, f"TypeError: {LABEL} 1j"),
    "None": (None, f"TypeError: {LABEL} None"),
    "a short column": (np.ones((2, 1)), f"{VECTOR} (1, 2, 1)"),
    "a long column": (np.ones((4, 1)), f"{VECTOR} (1, 4, 1)"),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels(name, nothing_changes):
    label, sentence = LABELS[name]
    for kind in ALL:
        net, tests = make(kind, sizes=SIZES), [(X, 0), (X, label)]
        with nothing_changes(net, tests):
            for where, call in calls(net, tests=tests):
                refuses(call, sentence.format(f"{where}[1]"))


NO_LABELS = {name: label for name, (label, _) in LABELS.items()} | {
    "a word": "1",
    "a dict": {},
    "an empty list": [],
    "an empty column": np.ones((0, 1)),
    "2**70": 2**70,
    "outputs with NaN": np.array([[0.0], [np.nan], [1.0]]),
    "outputs with infinity": np.array([[0.0], [np.inf], [1.0]]),
}


@pytest.mark.parametrize("label", NO_LABELS)
@pytest.mark.parametrize("hook", [None, "feedforward", "backprop", "counter"])
@each_class
def test_what_is_no_label_is_refused_in_a_sentence(kind, label, hook, nothing_changes):
    """Before training starts, also where a step is the script's own."""
    net, face = make(kind, sizes=SIZES), face_of(kind)
    hook = face.counter if hook == "counter" else hook
    if hook and kind != "MLP":  # whose methods are not called
        setattr(net, hook, lambda *arguments, **options: arguments[0])
    for others in (0, 1):
        test = [(X, 0)] * others + [(X, NO_LABELS[label])] + [(X, 1)] * others
        with nothing_changes(net, test):
            for name, call in calls(net, tests=test):
                if (hook, name) != (face.counter, face.counted):
                    match = rf"^{name}\S* .*must .+, got .+$"
                    with pytest.raises((TypeError, ValueError), match=match):
                        call()


# Parameters that a user set


TO_MATCH = "to match sizes [4, 5, 3]"
PARAMETERS = [
    (
        {"weights": [np.ones((5, 4))]},
        f"ValueError: weights must hold 2 arrays {TO_MATCH}, got 1",
    ),
    (
        {"weights": [np.ones((5, 5)), np.ones((3, 5))]},
        f"ValueError: weights[0] has shape (5, 5), expected (5, 4) {TO_MATCH}",
    ),
    (
        {"weights": [np.ones((5, 4)), np.ones((3, 6))]},
        f"ValueError: weights[1] has shape (3, 6), expected (3, 5) {TO_MATCH}",
    ),
    (
        {"weights": [np.ones((5, 4)), np.ones((1, 5))]},
        f"ValueError: weights[1] has shape (1, 5), expected (3, 5) {TO_MATCH}",
    ),
    (
        {"biases": [np.ones(5), np.ones((3, 1))]},
        f"ValueError: biases[0] has shape (5,), expected (5, 1) {TO_MATCH}",
    ),
    (
        {"biases": [np.ones((5, 1)), np.full((3, 1), "b")]},
        f"TypeError: biases[1] must be an array of real numbers, got dtype <U1: {TEXT}",
    ),
    ({"weights": None}, "TypeError: weights must be a list of 2 arrays, got NoneType"),
    ({"sizes": [4, 0, 3]}, "ValueError: sizes[1] must be at least 1, got 0"),
    (
        {"sizes": [4, 6, 3]},
        "ValueError: biases[0] has shape (5, 1), expected (6, 1) to match sizes [4, 6, 3]",
    ),
]


@pytest.mark.parametrize("by_hand", [False, True], ids=["core", "tanh"])
@pytest.mark.parametrize(("kinds", "change", "sentence"), rows(ALL, PARAMETERS))
def test_parameters(kinds, change, sentence, by_hand, monkeypatch, nothing_changes):
    """NumPy would broadcast some of them, and give a wrong matrix without a word."""
    for kind in kinds:
        net, tests = make(kind, sizes=SIZES), list(TEST)
        vars(net).update(change)
        if by_hand:
            monkeypatch.setattr(face_of(kind).module, "sigmoid", np.tanh, raising=False)
        with nothing_changes(net, tests):
            if kind in EVERY:
                refuses(lambda net=net: net.feedforward(X), sentence)
                refuses(lambda net=net: net.backprop(X, Y), sentence)
            for _, call in calls(net, list(GOOD), tests):
                refuses(call, sentence)


@each_kind
def test_nan_in_weights_is_the_users_and_stops_training(kind):
    net = make(kind, sizes=[4, 3])
    net.weights[0][1, 2] = np.nan
    assert np.isnan(net.feedforward(X)[1, 0])
    assert count(net, [(X, 1)]) == 1  # numpy.argmax: the first NaN is the largest
    before = net.biases, net.weights
    with pytest.raises(FloatingPointError, match=r"diverged in epoch 0 at eta 0\.1: there"):
        train(net, list(GOOD), 2, eta=0.1)
    assert all(map(np.array_equal, before[0], net.biases))
