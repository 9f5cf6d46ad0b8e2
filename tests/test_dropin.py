"""bpnet.dropin: old scripts and old pickles find their modules, and what they need in them."""

import importlib.util
import pickle
import random
import re
import subprocess
import sys
import types
import warnings
from itertools import product

import numpy as np
import pytest
from conftest import pairs, parameters_of
from engines import same_bits
from nets import FACES, each_class, equal, face_of, make, timeless, train

import bpnet.dropin
from bpnet import Network, mnist_loader, network, network2, reference

SIZES = [3, 4, 2]


NAMES = ("network", "network2", "mnist_loader")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Register anew: another test may have taken the names."""
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.reload(bpnet.dropin)
    yield
    for name in [name for name in sys.modules if name.split(".")[-1] in NAMES]:
        if not name.startswith("bpnet."):
            del sys.modules[name]


def test_the_books_names_are_bpnets_modules():
    assert importlib.import_module("network") is network
    assert importlib.import_module("network2") is network2
    assert importlib.import_module("mnist_loader") is mnist_loader
    for module in (network, network2, mnist_loader):
        assert module.__spec__.name == module.__name__


SCRIPT = """
import bpnet.dropin
import random
import numpy as np
import network
from network import Network, sigmoid, sigmoid_prime
random.seed(1); np.random.seed(1)
data = [(np.random.randn(3, 1), np.eye(2)[:, [i % 2]]) for i in range(20)]
net = network.Network([3, 4, 2])
net.SGD(zip(*zip(*data)), 2, 5, 3.0, test_data=[(x, np.argmax(y)) for x, y in data])
cost = sum(np.linalg.norm(net.feedforward(x) - y) ** 2 for x, y in data)
best = [w for w in net.weights]
net.SGD(data, 1, 5, 3.0)
assert all(type(w) is network.np.ndarray for w in best) and network.random is random
print([w.tobytes().hex() for w in net.weights])
"""


def run(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_script_gives_the_same_bits_in_every_process():
    first = run(SCRIPT)
    assert first == run(SCRIPT)
    lines = first.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["Epoch 0", "Epoch 1"]
    assert lines[2] == "Epoch 0 complete"


@pytest.mark.parametrize("rows", [np.asarray, np.ndarray.tolist, lambda x: x.reshape(-1, 2, 3)])
def test_a_script_may_replace_load_data_and_vectorized_result(rows, monkeypatch):
    """By functions of the book's arguments, which are none and one."""
    images, labels = np.arange(24.0).reshape(4, 6) / 24, np.array([3, 1, 0, 2])
    given = rows(images), labels
    monkeypatch.setattr(mnist_loader, "load_data", lambda: (given, given, given))
    monkeypatch.setattr(mnist_loader, "vectorized_result", lambda j: np.eye(5)[:, [j]])
    training, validation, test = mnist_loader.load_data_wrapper()
    for (x, y), (_, label), row, j in zip(training, validation, images, labels, strict=True):
        assert x.shape == (6, 1) and np.array_equal(x[:, 0], row)
        assert np.array_equal(y, np.eye(5)[:, [j]]) and label == j
    net = network.Network([6, 3, 5])
    net.SGD(training, 1, 2, 0.5, test_data=test)
    with pytest.raises(TypeError):
        mnist_loader.load_data_wrapper("a/path")


# Pickles of the original's class


def port_of(kind):
    """Return the module that the book's readers had, with its classes."""
    module = types.ModuleType(kind)
    for cls in (FACES[kind].book, reference.QuadraticCost, reference.CrossEntropyCost):
        body = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
        name = "Network" if cls is FACES[kind].book else cls.__name__
        made = type(name, (cls.__base__,), body | {"__module__": kind})
        made.__qualname__ = name
        setattr(module, name, made)
    return module


COSTS = ("CrossEntropyCost", "QuadraticCost")
PORTS = [("network", None, False), *(("network2", *c) for c in product(COSTS, (False, True)))]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(("kind", "cost", "as_instance"), PORTS)
def test_a_pickle_of_a_python_3_port_gives_a_network(
    kind, cost, as_instance, protocol, monkeypatch
):
    port = port_of(kind)
    given = [getattr(port, cost)() if as_instance else getattr(port, cost)] if cost else []
    old = port.Network(SIZES, *given)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, kind, port)
        saved = pickle.dumps(old, protocol)
    assert b"bpnet" not in saved
    loaded = pickle.loads(saved)
    assert type(loaded) is FACES[kind].cls
    assert list(vars(loaded)) == list(vars(old))
    if cost:
        found = type(loaded.cost) if as_instance else loaded.cost
        assert found is getattr(network2, cost)
    assert same_bits(parameters_of(loaded), parameters_of(old))
    check(loaded)


def check(loaded):
    """It works, and as a network of these parameters that was never pickled."""
    fresh = type(loaded)(SIZES, *([loaded.cost] if hasattr(loaded, "cost") else []))
    fresh.biases, fresh.weights = loaded.biases, loaded.weights
    x, y = pairs(1, 3, 2)[0]
    assert same_bits(loaded.feedforward(x), fresh.feedforward(x))
    assert same_bits(sum(loaded.backprop(x, y), []), sum(fresh.backprop(x, y), []))
    for net in (loaded, fresh):
        random.seed(1)
        train(net, pairs(5, 3, 2), judged_by=[(x, 1)], **face_of(net).figures)
    assert equal(loaded, fresh) and timeless(loaded.history) == timeless(fresh.history)


def array_of_python_2(array):
    """Return an array as Python 2 pickled it in protocol 2, without memos."""
    items, (rows, columns) = array.tobytes(), array.shape
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        + b"(K\x01"
        + bytes([ord("K"), rows, ord("K"), columns])
        + b"\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89U"
        + bytes([len(items)])
        + items
        + b"tb"
    )


def pickle_of_python_2(net):
    """Return what cPickle.dumps(net, 2) wrote: copy_reg.__newobj__ and the state."""

    def text(word):
        return b"U" + bytes([len(word)]) + word.encode()

    def arrays(values):
        return b"](" + b"".join(map(array_of_python_2, values)) + b"e"

    sizes = b"](" + b"".join(bytes([ord("K"), n]) for n in net.sizes) + b"e"
    state = [
        text("num_layers") + bytes([ord("K"), net.num_layers]),
        text("sizes") + sizes,
        text("biases") + arrays(net.biases),
        text("weights") + arrays(net.weights),
    ]
    return b"\x80\x02cnetwork\nNetwork\n)\x81}(" + b"".join(state) + b"ub."


@pytest.mark.skipif(sys.byteorder != "little", reason="the bytes of the arrays are")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pickle_of_python_2_in_protocol_2_gives_a_network(capsys):
    old = reference.Network(SIZES)
    loaded = pickle.loads(pickle_of_python_2(old), encoding="latin1")
    assert type(loaded) is Network and loaded.sizes == SIZES and loaded.num_layers == 3
    assert same_bits(parameters_of(loaded), parameters_of(old))
    check(loaded)


@each_class
def test_joblib_keeps_a_network(kind, tmp_path):
    joblib = pytest.importorskip("joblib")
    net = make(kind, dtype="float32")
    joblib.dump(net, tmp_path / "net.joblib")
    loaded = joblib.load(tmp_path / "net.joblib")
    train(net)
    train(loaded)
    assert equal(net, loaded)


# The user's own modules: what is the book's is replaced, what is not stays, and is told

# As the book has it, in other words: names of one's own, prints and comments count for nothing.
BOOK = '''
"""A network."""
import random
import numpy as np

class Network(object):
    def __init__(self, sizes):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(n, 1) for n in sizes[1:]]
        self.weights = [np.random.randn(n, k) for k, n in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for bias, weight in zip(self.biases, self.weights):
            a = sigmoid(np.dot(weight, a) + bias)
        return a

    def SGD(self, training_data, epochs, mini_batch_size, eta, test_data=None):
        if test_data: how_many = len(test_data)
        n = len(training_data)
        for epoch in range(epochs):
            random.shuffle(training_data)
            parts = [training_data[i:i+mini_batch_size] for i in range(0, n, mini_batch_size)]
            for part in parts:
                self.update_mini_batch(part, eta)
            if test_data:
                print("Epoch {0}: {1} / {2}".format(epoch, self.evaluate(test_data), how_many))
            else:
                print("Epoch {0} complete".format(epoch))

    def cost_derivative(self, output_activations, y):
        return (output_activations - y)

def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))
'''
LOADER = """
import pickle
import gzip
import numpy as np

def load_data():
    f = gzip.open('../data/mnist.pkl.gz', 'rb')
    training_data, validation_data, test_data = pickle.load(f, encoding="latin1")
    f.close()
    return (training_data, validation_data, test_data)

def vectorized_result(j):
    e = np.zeros((10, 1))
    e[j] = 1.0
    return e
"""


def changed(text, *edits):
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


PYTHON_2 = changed(
    BOOK,
    ('print("Epoch {0}: ', 'print "Epoch {0}: '),
    ("how_many))", "how_many)"),
    ('print("Epoch {0} complete".format(epoch))', 'print "Epoch %s complete" % epoch'),
    ("range(", "xrange("),
)
SAME = {  # edits that change no answer
    "comments": [
        ('"""A network."""', "# A network"),
        ("n = len", "# all of them\n        n = len"),
    ],
    "a text that Python warns of": [('"""A network."""', '"""\\partial C."""')],
    "annotations": [("def sigmoid(z)", "def sigmoid(z: float) -> float")],
    "names": [
        ("how_many", "n_test"),
        ("for bias, weight in", "for b, w in"),
        ("np.dot(weight, a) + bias", "np.dot(w, a) + b"),
    ],
    "a list of a zip": [
        ("        n = len", "        training_data = list(training_data)\n        n = len")
    ],
    "format": [
        (
            '"Epoch {0}: {1} / {2}".format(epoch, self.evaluate(test_data), how_many)',
            'f"Epoch {epoch}: {self.evaluate(test_data)} / {how_many}"',
        )
    ],
    "Python 3's class": [("Network(object)", "Network")],
    "fewer methods": [
        ("    def cost_derivative(self, output_activations, y):\n", ""),
        ("        return (output_activations - y)\n", ""),
    ],
    "another path": [("../data/mnist", "mnist")],
    "cPickle": [("import pickle", "import cPickle as pickle")],
    "a script at its end": [
        ("def sigmoid(z)", "if __name__ == '__main__':\n    Network([2, 1])\n\ndef sigmoid(z)")
    ],
}
OTHER = {  # edits that do, and what is named
    "tanh": ([("1.0 / (1.0 + np.exp(-z))", "np.tanh(z)")], "sigmoid"),
    "a steeper sigmoid": ([("np.exp(-z)", "np.exp(-2 * z)")], "sigmoid"),
    "its derivative": ([("(1 - sigmoid(z))", "(1 - z)")], "sigmoid_prime"),
    "a linear output": (
        [("        return a", "        return np.dot(weight, a)")],
        "Network.feedforward",
    ),
    "a return in the loop": (
        [("        return a\n", "            return a\n")],
        "Network.feedforward",
    ),
    "smaller weights": (
        [("np.random.randn(n, k)", "np.random.randn(n, k) / 2")],
        "Network.__init__",
    ),
    "other slices": ([("sizes[:-1]", "sizes[-1:]")], "Network.__init__"),
    "no shuffling": ([("            random.shuffle(training_data)\n", "")], "Network.SGD"),
    "eta that decays": ([("part, eta)", "part, eta / (1 + epoch))")], "Network.SGD"),
    "another default": ([("eta, test_data=None", "eta=3.0, test_data=None")], "Network.SGD"),
    "another cost": (
        [("output_activations - y", "output_activations - 2 * y")],
        "Network.cost_derivative",
    ),
    "another NumPy": (
        [("import numpy as np", "import jax.numpy as np")],
        "Network.__init__ and Network.feedforward and sigmoid",
    ),
    "a method more": (
        [("def sigmoid(z)", "    def predict(self, x): return 1\n\ndef sigmoid(z)")],
        "Network.predict",
    ),
    "a class above": ([("Network(object)", "Network(Base)")], "Network"),
    "a seed": ([("import numpy as np", "import numpy as np\nnp.random.seed(1)")], "line 5"),
    "an imported sigmoid": (
        [
            (
                "def sigmoid(z):\n    return 1.0 / (1.0 + np.exp(-z))",
                "from numpy import tanh as sigmoid",
            )
        ],
        "Network.feedforward and sigmoid_prime",
    ),
    "other data": ([("mnist.pkl.gz", "fashion.pkl.gz")], "load_data"),
    "other labels": ([("e[j] = 1.0", "e[j] = 0.9")], "vectorized_result"),
    "nothing of it": ([(LOADER, "x = 1")], "x"),
    "no Python": ([(LOADER, "def (")], "content"),
}


def found(name, folder, text, monkeypatch):
    """Return what a script in folder imports, and the warnings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = importlib.util.find_spec(name)
    return module.origin, [str(warning.message) for warning in told]


def edited(edits):
    name = "network" if edits[0][0] in BOOK else "mnist_loader"
    return name, changed(BOOK if name == "network" else LOADER, *edits)


@pytest.mark.parametrize(
    "text", [BOOK, PYTHON_2, LOADER], ids=["Python 3", "Python 2", "loader"]
)
def test_the_books_own_files_are_replaced_without_a_word(text, tmp_path, monkeypatch):
    name = "mnist_loader" if text is LOADER else "network"
    assert found(name, tmp_path, text, monkeypatch) == (None, [])
    assert importlib.import_module(name).__name__ == f"bpnet.{name}"


@pytest.mark.parametrize("edit", SAME)
def test_so_is_a_file_that_says_the_same(edit, tmp_path, monkeypatch):
    name, text = edited(SAME[edit])
    assert found(name, tmp_path, text, monkeypatch) == (None, [])


@pytest.mark.parametrize("edit", OTHER)
def test_a_file_that_does_something_else_stays_and_a_warning_says_what(
    edit, tmp_path, monkeypatch
):
    edits, what = OTHER[edit]
    name, text = edited(edits)
    path = str(tmp_path / f"{name}.py")
    origin, told = found(name, tmp_path, text, monkeypatch)
    assert origin == path
    assert told == [
        f"{path} stays in its place: its {what} is not the book's. "
        f"bpnet.dropin.install({name!r}), before it is imported, replaces it all the same"
    ]
    bpnet.dropin.install(name)
    assert importlib.import_module(name).__name__ == f"bpnet.{name}"


COST = """
import numpy as np

class Network(object):
    def total_cost(self, data, lmbda, convert=False):
        total = 0.0
        for x, y in data:
            output = self.feedforward(x)
            if convert: y = vectorized_result(y)
            total += self.cost.fn(output, y) / len(data)
        total += 0.5*(lmbda/len(data))*sum(np.linalg.norm(w)**2 for w in self.weights)
        return total
"""


def test_a_ports_l2_term_for_each_example_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(bpnet.dropin._HEART, "network2", "Network.total_cost")
    assert found("network2", tmp_path / "book", COST, monkeypatch) == (None, [])
    port = changed(COST, ("        total += 0.5", "            total += 0.5"))
    origin, told = found("network2", tmp_path / "port", port, monkeypatch)
    assert (origin, len(told)) == (None, 1)
    assert told[0] == (
        f"bpnet stands in for {tmp_path / 'port' / 'network2.py'}, "
        f"whose total_cost adds the L2 term for each example, bpnet's once, as the book's"
    )


# The law: a script's answers are its own module's, or bpnet's where they are the same ones, or
# a warning said so

TANH = changed(BOOK, ("1.0 / (1.0 + np.exp(-z))", "np.tanh(z)"))
OWN_DATA = changed(LOADER, ("mnist.pkl.gz", "fashion.pkl.gz"))
PACKAGE = {"src/__init__.py": "", "src/plots.py": "colour = 'red'"}
RELATIVE = "from .network import Network\nfrom . import plots"
TOP, FROM, AS = "import network", "from src import network", "import src.network as network"
DOTTED = "import src.network\nnetwork = src.network"
IN_PACKAGE = [FROM, AS, DOTTED]
UNDER = "import bpnet.dropin; bpnet.dropin.install(under='src')"
NAMED = "import bpnet.dropin; bpnet.dropin.install('network', under='src')"
PLAIN = "import bpnet.dropin"
WARNED, SILENT = True, False

# files beside the script, its first line, what imports network, whose it is, what was said
LAYOUTS = {
    "nothing": ({}, PLAIN, [TOP], "bpnet", SILENT),
    "a folder of that name": ({"network/saved.json": ""}, PLAIN, [TOP], "bpnet", SILENT),
    "the book's": (
        {"network.py": BOOK, "mnist_loader.py": LOADER}, PLAIN, [TOP], "bpnet", SILENT,
    ),
    "the book's of Python 2": ({"network.py": PYTHON_2}, PLAIN, [TOP], "bpnet", SILENT),
    "their own": ({"network.py": TANH}, PLAIN, [TOP], "theirs", WARNED),
    "their own, named": (
        {"network.py": TANH}, "import bpnet.dropin; bpnet.dropin.install('network')", [TOP],
        "bpnet", SILENT,
    ),
    "the book's, imported before": (
        {"network.py": BOOK}, f"{TOP}; import bpnet.dropin", [TOP], "bpnet", WARNED,
    ),
    "their own, imported before": (
        {"network.py": TANH}, f"{TOP}; import bpnet.dropin", [TOP], "theirs", WARNED,
    ),
    "a package of the book's": (
        PACKAGE | {"src/network.py": BOOK}, PLAIN, IN_PACKAGE, "bpnet", SILENT,
    ),
    "a package of the book's that imports it": (
        PACKAGE | {"src/network.py": BOOK, "src/__init__.py": RELATIVE},
        PLAIN, IN_PACKAGE, "bpnet", SILENT,
    ),
    "a package of the book's, told": (
        PACKAGE | {"src/network.py": BOOK}, UNDER, IN_PACKAGE, "bpnet", SILENT,
    ),
    "a package of the book's, imported before": (
        PACKAGE | {"src/network.py": BOOK}, f"{AS}; import bpnet.dropin", IN_PACKAGE, "bpnet",
        WARNED,
    ),
    "a package of their own": (
        PACKAGE | {"src/network.py": TANH}, PLAIN, IN_PACKAGE, "theirs", WARNED,
    ),
    "a package of their own, told": (
        PACKAGE | {"src/network.py": TANH}, UNDER, IN_PACKAGE, "theirs", WARNED,
    ),
    "a package of their own, named": (
        PACKAGE | {"src/network.py": TANH}, NAMED, IN_PACKAGE, "bpnet", SILENT,
    ),
    "a package without it, told": (PACKAGE, UNDER, IN_PACKAGE, "bpnet", SILENT),
    "no package, told": ({}, UNDER, IN_PACKAGE, "bpnet", SILENT),
    "no package of a package, told": (
        {}, UNDER.replace("src", "a.b"),
        ["import a.b.network as network", "from a.b import network"], "bpnet", SILENT,
    ),
    "something else of that name": (
        PACKAGE | {"src/network.py": "class Graph: pass"}, PLAIN, IN_PACKAGE, "theirs", SILENT,
    ),
}  # fmt: skip
REPORT = "print('bpnet' if network.__name__ == 'bpnet.network' else 'theirs')"
OTHERS = "from src import plots; assert plots.colour == 'red'"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_script_gets_its_own_module_or_bpnets_and_is_told(layout, tmp_path):
    files, first, imports, whose, warned = LAYOUTS[layout]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    lines = [first, *(line for each in imports for line in (*each.splitlines(), REPORT))]
    script = "\n".join([*lines, OTHERS] if "src/plots.py" in files else lines)
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [whose] * len(imports)
    assert done.stderr.count("UserWarning") == (1 if warned else 0), done.stderr
    if warned:
        line = int(re.search(r"script.py:(\d+): UserWarning", done.stderr)[1])
        assert re.search("import|install", script.splitlines()[line - 1])


def test_their_own_data_stay(tmp_path):
    (tmp_path / "mnist_loader.py").write_text(OWN_DATA + "load_data = lambda: 'theirs'")
    script = "import bpnet.dropin, mnist_loader, network\n"
    script += "print(mnist_loader.load_data(), network.__name__)"
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["theirs", "bpnet.network"]
    assert "its load_data is not the book's" in done.stderr


def test_install_refuses_other_names():
    with pytest.raises(ValueError) as refused:
        bpnet.dropin.install("network3")
    assert str(refused.value) == (
        "names must be among network, network2, mnist_loader, got 'network3'"
    )
    for under in ("a-b", ".a", 3, None):
        with pytest.raises(ValueError) as refused:
            bpnet.dropin.install(under=under)
        assert str(refused.value) == (
            f'under must be the name of a package, as "src", got {under!r}'
        )
    assert not [f for f in sys.meta_path if type(f).__module__ == "bpnet.dropin"][1:]
