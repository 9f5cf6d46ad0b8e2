"""Single arguments: what is taken as each, and the sentences that refuse the rest."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from bpnet import Network, check


@pytest.mark.parametrize(
    "sizes", [iter([3, 2]), (n for n in (3, 2))], ids=["iterator", "generator"]
)
def test_sizes_that_can_be_read_but_once_are_refused(sizes):
    """The object becomes the attribute, which every call reads."""
    with pytest.raises(TypeError, match=r"^sizes must list the neurons of each layer, got <"):
        Network(sizes)


ABSURD = """
import resource
import numpy as np
from bpnet import Network

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
np.random.seed(1)
state = np.random.get_state()[1].tolist()
for sizes in [10**6, 10**7], [2, 10**9, 2], [2**31, 2**31], [2**32, 2**32], [2**62, 2**62, 4]:
    try:
        Network(sizes)
    except MemoryError as error:
        assert str(error).startswith(f"sizes {sizes} make a network of "), error
    else:
        raise AssertionError(sizes)
assert np.random.get_state()[1].tolist() == state
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_absurd_sizes_are_a_memory_error_before_anything_is_drawn():
    """With a limit of its own: some systems promise any amount of memory."""
    subprocess.run([sys.executable, "-c", ABSURD], check=True, timeout=60)


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), True + 2])
def test_integer_takes_what_is_an_index(value):
    number = check.integer("n", value, 3, 3)
    assert number == 3 and type(number) is int


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), Fraction(3), np.array(3.0), True])
def test_finite_takes_what_is_a_number(value):
    number = check.finite("eta", value, np.dtype("float32"))
    assert number == float(value) and type(number) is float


def test_finite_knows_the_largest_number_of_its_dtype():
    most = float(np.finfo(np.float32).max)
    assert check.finite("eta", most, np.dtype("float32")) == most
    assert check.finite("eta", -2 * most, np.dtype("float64")) == -2 * most
    with pytest.raises(ValueError, match=r"^eta must be finite in float32, got -6\.8"):
        check.finite("eta", -2 * most, np.dtype("float32"))


@pytest.mark.parametrize("dtype", [np.float32, "f4", "float32", np.dtype("f4"), ">f4", "<f4"])
def test_floating_gives_the_native_dtype(dtype):
    assert check.floating(dtype) == np.dtype("=f4")


class Holder:
    """An array of another package."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


OBJECTS = np.array([True, 2, Fraction(1, 2), np.float32(4), np.int8(5), np.bool_(0)], object)


@pytest.mark.parametrize(
    "value",
    [
        OBJECTS,
        OBJECTS.tolist(),
        Holder(OBJECTS),
        np.ma.array(OBJECTS),
        np.ma.array(OBJECTS.astype(float), mask=False),
    ],
)
def test_array_takes_all_that_are_real_numbers(value):
    found = check.array("x", value)
    assert type(found) is np.ndarray and found.dtype == np.float64
    assert found.tolist() == [1, 2, 0.5, 4, 5, 0]


def test_array_copies_nothing_that_is_one():
    x = np.ones((2, 3), np.uint8)
    for value in (x, x.T, x[::2], Holder(x), np.ma.array(x, copy=False), x.view(np.matrix)):
        assert np.shares_memory(check.array("x", value), x)


@pytest.mark.parametrize(
    ("shape", "i", "words"),
    [
        ((), 0, ""),
        ((5,), 3, " in item 3"),
        ((5, 4), 7, " in row 1, column 3"),
        ((2, 5, 4), 27, " at (1, 1, 3)"),
    ],
)
def test_place_is_where_an_item_is(shape, i, words):
    assert check.place(shape, i) == words


def test_warn_names_the_nearest_line_that_is_not_of_the_package():
    with pytest.warns(UserWarning, match="mind") as found:
        check.warn("mind")
    assert found[0].filename == __file__
    for module, own in (("bpnet.some", True), ("bpnets", False), (None, False)):
        inner = {"check": check} | ({"__name__": module} if module else {})
        exec("def f():\n    check.warn('mind')", inner)
        with pytest.warns(UserWarning) as found:
            inner["f"]()
        assert (found[0].filename == __file__) == own
