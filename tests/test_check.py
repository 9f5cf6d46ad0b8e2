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
