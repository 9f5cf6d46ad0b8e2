"""Which engine runs, and that no misuse of the core's objects brings the interpreter down."""

import os
import subprocess
import sys

import numpy as np
import pytest

import bpcore

ISAS = list(dict.fromkeys(engine.isa for engine in bpcore.engines()))


def python(code, given="", **environment):
    """Run code in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_engines_are_two_item_types_of_each_instruction_set_baseline_first():
    known = ["baseline", "avx2", "avx512"]
    assert ISAS == known[: len(ISAS)]
    found = [(engine.isa, str(engine.dtype)) for engine in bpcore.engines()]
    assert found == [(isa, dtype) for isa in ISAS for dtype in ("float32", "float64")]


def test_an_engine_says_what_it_is():
    for i, engine in enumerate(bpcore.engines()):
        assert repr(engine) == f"<bpcore.Engine {engine.isa} {engine.dtype}>"
        assert repr(bpcore.Engine(i)) == repr(engine)
        assert 64 % (engine.lanes * engine.dtype.itemsize) == 0
        for name in ("isa", "dtype", "lanes"):
            with pytest.raises(AttributeError):
                setattr(engine, name, getattr(engine, name))


def test_an_engine_has_an_index_in_the_table():
    n = len(bpcore.engines())
    for index in (n, n + 1, 10**6):
        message = f"^index must be less than the {n} engines, got {index}$"
        with pytest.raises(IndexError, match=message):
            bpcore.Engine(index)
    with pytest.raises(OverflowError):
        bpcore.Engine(-1)


def test_the_compiler_has_a_name_and_a_version():
    name, version = bpcore.compiler().split(" ", 1)
    assert name.isidentifier() and any(map(str.isdigit, version))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_engine_is_the_fastest_unless_named(dtype):
    code = f"import bpcore; engine = bpcore.engine({dtype!r}); print(engine.isa, engine.dtype)"
    for named, isa in [("", ISAS[-1]), *zip(ISAS, ISAS)]:
        run = python(code, BPNET_ISA=named)
        assert (run.stdout, run.stderr) == (f"{isa} {dtype}\n", "")


def test_the_engine_is_found_by_anything_that_is_a_dtype():
    for dtype in ("float32", np.float32, np.dtype("f"), "f4"):
        assert bpcore.engine(dtype).dtype == np.float32
    assert bpcore.engine("float64") is bpcore.engine("float64")


def test_another_dtype_is_refused():
    for dtype in ("int32", "float16", ">f8"):
        message = f"^dtype must be float32 or float64, got {dtype}$"
        with pytest.raises(ValueError, match=message):
            bpcore.engine(dtype)


@pytest.mark.parametrize("named", ["sse9", "AVX2", " baseline"])
def test_an_unknown_instruction_set_is_refused_by_name(named):
    run = python("import bpcore; bpcore.engine('float64')", BPNET_ISA=named)
    assert run.returncode == 1
    choices = ", ".join(ISAS)
    message = f"ValueError: BPNET_ISA must be one of {choices} on this machine, got {named!r}"
    assert run.stderr.splitlines()[-1] == message


def test_the_core_can_be_imported_and_listed_whatever_the_variable_says():
    run = python("import bpcore; print(len(bpcore.engines()))", BPNET_ISA="sse9")
    assert (run.stdout, run.returncode) == (f"{2 * len(ISAS)}\n", 0)


def test_a_network_too_large_for_memory_is_an_error():
    # The sanitizers' allocator would end the process instead.
    code = "import bpcore; bpcore.Net(bpcore.engine('float32'), [2**28, 2**28], 1)"
    run = python(code, ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1")
    assert run.returncode == 1
    start = "MemoryError: a network of sizes [268435456, 268435456] takes 576,460,8"
    assert run.stderr.splitlines()[-1].startswith(start)


@pytest.mark.skipif(os.name != "posix", reason="limits are of POSIX")
def test_dense_inputs_that_a_network_of_sparse_ones_has_no_room_for_are_an_error():
    """And the sparse ones go on."""
    code = """
import resource
import numpy as np
import bpcore
engine, n_in = bpcore.engine("float32"), 2**20
net = bpcore.Net(engine, [n_in, 1], 128)
form = n_in, np.array([0, 1]), np.array([7], "I"), np.ones(1, "f"), None
sparse = bpcore.Data(engine, form, 1)
dense = bpcore.Data(engine, sparse.rows(0, 1), 1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
try:
    net.feedforward(dense)
except MemoryError as error:
    print(error)
print(net.feedforward(sparse))
"""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc")
    run = python(code, ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1")
    message = "dense inputs of a network of sizes [1048576, 1] take 1,073,741,824 bytes"
    assert run.stdout.splitlines() == [message, "[[0.5]]"], run.stderr


# Each runs after SETUP, in one interpreter, and must raise; what is not the point.
SETUP = """
import copy, pickle, random
import numpy as np
import bpcore
from bpcore import Data, Engine, Net, Order
from bpcore._core import Encoder
engine = bpcore.engine("float64")
x, y, labels = np.zeros((3, 4)), np.zeros((3, 2)), np.zeros(3, "q")
data, order, net = Data(engine, x, 2, y=y, labels=labels), Order(3), Net(engine, [4, 2], 5)
z = np.zeros(64 + 8)
z = z[-z.ctypes.data % 64 // 8 :][:64].reshape(8, 8)
biases, weights = net.store()
offsets, columns, values = np.array([0, 1, 1, 2]), np.array([3, 0], "H"), np.ones(2)
wide = columns.astype("I")
class Changing:  # 4 to who compares it, and 2**17 to who counts on it
    __index__ = lambda self: 2**17
    __gt__ = lambda self, other: 4 > other
    __le__ = lambda self, other: 4 <= other
room = np.zeros(4, "q"), np.zeros(16, "H"), np.zeros(16)  # for 12 items of x and one row
codes = {"codes": np.zeros(16, "B"), "table": np.zeros(256)}
encoder = Encoder(engine, 4, 12, *room)
"""
REFUSED = [
    # Objects that were never made.
    "Engine()",
    "Engine.__new__(Engine)",
    "object.__new__(Engine)",
    "Engine(None)",
    "Engine('0')",
    "Engine(2**64 - 1)",
    "Engine(2**64)",
    "Data.__new__(Data)",
    "object.__new__(Data)",
    "Net.__new__(Net)",
    "object.__new__(Net)",
    "Order.__new__(Order)",
    "object.__new__(Order)",
    *(
        f"copy.{how}({what})"
        for how in ("copy", "deepcopy")
        for what in ("net", "data", "encoder")
    ),
    *(f"pickle.dumps({what})" for what in ("engine", "data", "net", "order", "encoder")),
    "net.__setstate_cython__(())",
    # Arguments that are not what they should be.
    *(
        f"{call}({', '.join(['None'] * n)})"
        for call, n in [
            ("Order", 1),
            ("Data", 3),
            ("Encoder", 6),
            ("encoder.append", 1),
            ("Net", 3),
            ("engine.gemm", 3),
            ("engine.activate", 2),
            ("net.load", 2),
            ("net.feedforward", 1),
            ("net.backprop", 1),
            ("net.evaluate", 1),
            ("net.sgd", 4),
            ("order.shuffle", 1),
        ]
    ),
    "Data(net, x, 2)",
    "Data('float64', x, 2)",
    "Data(engine, None, 2)",
    "Data(engine, x.tolist(), 2)",
    "Data(engine, x[0], 2)",
    "Data(engine, x, None)",
    "Data(bpcore.engine('float32'), data, 2)",
    "Data(engine, data, 2, y=y[:2])",
    "Data(engine, type('', (), {'shape': (3, 4)})(), 2)",
    "Data(engine, type('', (), {'shape': (2**40, 4)})(), 2)",
    "Data(engine, type('', (), {'shape': (-3, 4)})(), 2)",
    "Data(engine, type('', (), {'shape': (3, 2**70)})(), 2)",
    "Data(engine, type('', (), {'shape': (3, 4), 'dense': lambda self: None})(), 2)",
    "data.rows(None, 'a')",
    "data.inputs = x",
    # CSR forms that would be read outside of their arrays.
    *(
        f"Data(engine, {form}, 2)"
        for form in [
            "()",
            "(4, offsets, columns, values)",
            "(None, offsets, columns, values, None)",
            "(3, offsets, columns, values, None)",
            "(-4, offsets, columns, values, None)",
            "(2**70, offsets, columns, values, None)",
            "(4, offsets[:0], columns, values, None)",
            "(4, offsets[:3], columns, values, None)",
            "(4, offsets[1:], columns, values, None)",
            "(4, offsets[::-1].copy(), columns, values, None)",
            "(4, offsets.astype('i'), columns, values, None)",
            "(4, offsets * 2**40, columns, values, None)",
            "(4, np.array([0, 2**62, -(2**62), 2]), columns, values, None)",
            "(4, np.array([-(2**62), 1, 1, 2]), columns, values, None)",
            "(4, np.ma.array(offsets), columns, values, None)",
            "(4, offsets, columns[:1], values, None)",
            "(4, offsets, columns + np.uint16(1), values, None)",
            "(4, offsets, columns[:, None], values, None)",
            "(4, np.array([0, 2]), columns, values, None)",
            "(4, np.array([0, 2]), columns * np.uint16(0), values, None)",
            "(4, offsets, columns, values[:1], None)",
            "(4, offsets, columns, values.astype('f'), None)",
            "(4, offsets, columns, values, np.array([0, 2], 'B'))",
            "(4, offsets, columns, values[:0], np.array([0, 0], 'B'))",
            "(4, offsets, columns, values, np.array([0], 'B'))",
            "(4, offsets, columns, values, np.array([0, 0]))",
            "(2**17, offsets, columns, values, None)",
            "(2**17, offsets, wide + np.uint32(2**17), values, None)",
            "(2**17, offsets, wide + np.uint32(2**32 - 4), values, None)",
            "(2**17, offsets, wide[:1], values, None)",
            "(2**17, np.array([0, 2]), wide, values, None)",
            "(2**17, offsets, wide, values[:1], np.zeros(2, 'B'))",
            "(2**31, offsets, wide, values, None)",
            "(4, offsets, wide, values, None)",
            "(Changing(), offsets, columns, values, None)",
        ]
    ),
    "Encoder(engine, 5, 12, *room)",
    "Encoder(engine, 4, 11, *room)",
    "Encoder(engine, -4, 20, *room)",
    "Encoder(engine, 17, -1, *room)",
    "Encoder(engine, 2**16 + 1, 0, room[0], np.zeros(2**16 + 1, 'H'), np.zeros(2**16 + 1))",
    "Encoder(engine, 4, 2**63, *room)",
    "Encoder(engine, 4, 12, room[0].astype('i'), *room[1:])",
    "Encoder(engine, 4, 12, room[0], room[1].astype('h'), room[2])",
    "Encoder(engine, 4, 12, *room[:2], room[2].astype('f'))",
    "Encoder(engine, 4, 12, *room[:2], room[2][:-1])",
    "Encoder(engine, 4, 12, *room, codes=codes['codes'])",
    "Encoder(engine, 4, 12, *room, codes=codes['codes'], table=np.zeros(255))",
    "Encoder(engine, 4, 12, *room, codes=codes['codes'][1:], table=codes['table'])",
    "Encoder(engine, 4, 12, *room, codes=codes['codes'].astype('b'), table=codes['table'])",
    "Encoder(engine, 4, 12, room[0][:0], *room[1:]).append(x[:0])",
    "Encoder(engine, 4, 12, *room[:2], np.zeros(4), **codes).append(x)",
    "encoder.append(x[:, :3].copy())",
    "encoder.append(x.astype('f'))",
    "encoder.append(np.ones((4, 4)))",
    "encoder.append(x); encoder.append(x[:1])",
    "encoder.items = 5",
    "encoder.__setstate_cython__(())",
    "Data(engine, x, 2**70)",
    "Data(engine, x, 1.5)",
    "Data(engine, x, 2, labels=[0, 0, 0])",
    "Data(engine, x, 2, labels=np.ma.array([9, 0, 1], mask=[1, 0, 0]))",
    "net.backprop(Data(engine, x, 2, labels=np.ma.array([10**9, 0, 1], mask=[1, 0, 0])))",
    "Data(engine, x, 0, labels=labels)",
    "Data(engine, x, -1, labels=labels)",
    "Net(None, [4, 2], 1)",
    "Net(engine, 4, 1)",
    "Net(engine, 'ab', 1)",
    "Net(engine, [4, None], 1)",
    "Net(engine, [4.5, 2], 1)",
    "Net(engine, [4, float('nan')], 1)",
    "Net(engine, [4, float('inf')], 1)",
    "Net(engine, [4, 2], None)",
    "Net(engine, [4, 2], 1.5)",
    "Net(engine, [4, 2], 1.5).sgd(data, order, 1, 0.1)",
    "Net(engine, [4, 2.5, 2], 4).feedforward(data)",
    "Net(engine, [4, 2], -1)",
    "Net(engine, [2**62, 2**62], 1)",
    "engine.gemm(z.tolist(), z, z)",
    "engine.gemm(z, z[0], z)",
    "engine.gemm(z[None], z, z)",
    "engine.gemm(z, z[:4], z)",
    "engine.gemm(z, z, z.tolist())",
    "engine.gemm(z.astype(object), z, z)",
    "engine.activate('sigmoid', [0.0] * 8)",
    "engine.activate('sigmoid', z.astype(object))",
    "net.load([], [])",
    "net.load([None], [None])",
    "net.load(weights, biases)",
    "net.load(biases, [np.ma.array(weights[0])[:1]])",
    "net.feedforward(x)",
    "net.backprop(order)",
    "net.evaluate(net)",
    "net.sgd(data, data, 1, 0.1)",
    "net.sgd(order, order, 1, 0.1)",
    "net.sgd(data, order, None, 0.1)",
    "net.sgd(data, order, 1.5, 0.1)",
    "net.sgd(data, order, 2**70, 0.1)",
    "net.sgd(data, order, 1, None)",
    "net.sgd(data, order, 1, '0.1')",
    "net.sgd(data, order, 1, 1j)",
    "order.shuffle(3)",
    "Order(2**62)",
    "Order(2**70)",
]


ATTEMPTS = """
setup, *codes = eval(input())
for code in codes:
    names = {}
    exec(setup, names)
    try:
        exec(code, names)
    except Exception:
        print("refused", flush=True)
    else:
        print("accepted", flush=True)
"""


def attempted(codes):
    """Return those that were refused, those that were not, and stderr."""
    run = python(ATTEMPTS, given=repr([SETUP, *codes]))
    found = run.stdout.splitlines()
    assert run.returncode == 0, (codes[len(found) :][:1], run.stderr)
    refused, accepted = (
        [code for code, what in zip(codes, found, strict=True) if what == kind]
        for kind in ("refused", "accepted")
    )
    return refused, accepted, run.stderr


def test_misuse_is_refused_and_does_not_crash():
    assert attempted(REFUSED)[:2] == (REFUSED, [])


# Odd, but nothing is wrong with it.
ACCEPTED = [
    "net.__init__(); net.feedforward(data)",
    "order.__init__(); order.shuffle(random)",
    "data.__init__(engine, x, 2); net.evaluate(data)",
    "type('Sub', (Net,), {})(engine, [4, 2], 1).feedforward(data)",
    "net.sgd(data, order, True, np.float32(0.1))",
    "np.testing.assert_array_equal(net.feedforward(data), 0.5)",
    "net.sgd(data, order, np.int8(3), float('nan')); net.evaluate(data)",
    "net.sgd(data, order, 1, float('inf')); net.evaluate(data)",
    "net.load(tuple(biases), (weights[0],))",
    "engine.gemm(z, z, z)",
    "engine.gemm(z[:, :0], z[:0], z)",
    "del engine, x, y, labels; net.evaluate(data)",
    "net.feedforward(Data(engine, (4, offsets, columns, values, None), 2))",
    "net.feedforward(Data(engine, (4, offsets, columns, values, np.zeros(2, 'B')), 2))",
    "net.feedforward(Data(engine, (4, np.zeros(9, 'q'), columns[:0], values[:0], None), 2))",
    "encoder.append(x + 1); assert encoder.items == 12 and room[1][5] == 1",
    "[Encoder(engine, 4, 12, *room).append(x + i) for i in range(9)]",
    "encoder = Encoder(engine, 1, 0, np.zeros(9, 'q'), np.zeros(1, 'H'), np.zeros(1))\n"
    "[encoder.append(np.ones((2, 1))) for _ in range(4)]",
    "encoder = Encoder(engine, 4, 12, *room, **codes); encoder.append(x + 3.0)\n"
    "assert (encoder.items, encoder.used, codes['table'][0]) == (12, 1, 3)",
]


def test_odd_use_does_not_crash():
    assert attempted(ACCEPTED) == ([], ACCEPTED, "")


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "uint64"])
def test_sizes_and_rows_of_a_narrow_integer_type_are_numbers_like_any_other(kind):
    # 100 * 8 bytes is more than 8 bits can count, an address more than 32.
    code = f"""
def trained(sizes, rows):
    net = Net(engine, sizes, rows)
    net.load([np.full((n, 1), 0.1) for n in (100, 30)],
             [np.full((n, 100), 0.01) for n in (100, 30)])
    net.sgd(Data(engine, np.ones((100, 100)), 30, y=np.ones((100, 30))), Order(100), rows, 0.1)
    return [array.tobytes() for arrays in net.store() for array in arrays]
sizes = np.array([100, 100, 30], {kind!r})
print(trained(sizes, sizes[0]) == trained([100, 100, 30], 100))
"""
    run = python(SETUP + code)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")
