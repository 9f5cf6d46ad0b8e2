"""``bpnet.distort`` beside its twin in NumPy, and what it may do to an image."""

import math

import numpy as np
import pytest
from distorted import distort as twin
from distorted import drawn
from engines import each_engine, same_bits
from hypothesis import given
from hypothesis import strategies as st

import bpcore
import bpnet
from bpnet import distortion

USUAL = {
    "rotation": 10.0,
    "scale": 0.1,
    "shear": 0.1,
    "shift": 0.0,
    "displacement": 1.2,
    "smoothness": 5.0,
}
NOTHING = {**dict.fromkeys(USUAL, 0.0), "smoothness": 5.0}
SIDE = 41  # odd: there is a pixel in the middle


def images(n, height, width, dtype=np.float64, seed=0):
    return np.random.RandomState(seed).rand(n, height, width).astype(dtype)


def bound(shape, options, dtype):
    """Return how far pixels may be from exact ones.

    A place is a sum of some 16 terms, none larger than twice the sides and what is moved, each
    rounded.  Where neighbours differ by at most 1, a pixel changes by no more than its place
    does, across and down; and its own sum has 8 roundings.
    """
    moved = options["shift"] + 3.77 * options["displacement"]
    stretched = 1 / (1 - options["scale"]) + options["shear"]
    largest = 2 * (stretched * sum(shape[1:]) + moved + 2)
    return np.finfo(dtype).eps * (2 * 16 * largest + 8)


shapes = st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 40))
choices = st.fixed_dictionaries(
    {
        "rotation": st.floats(0, 90),
        "scale": st.floats(0, 0.9),
        "shear": st.floats(0, 2),
        "shift": st.floats(0, 20),
        "displacement": st.floats(0, 10),
        "smoothness": st.floats(0.5, 100),
    }
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shapes, choices, st.integers(0, 2**64 - 1))
def test_the_core_does_what_numpy_does(dtype, shape, options, seed):
    x = images(*shape, dtype=dtype)
    exact = twin(x.astype(np.float64), seed, **options)
    found = bpnet.distort(x, seed=seed, **options)
    assert found.dtype == dtype and found.shape == x.shape
    np.testing.assert_allclose(found, exact, rtol=0, atol=bound(shape, options, dtype))


@each_engine
def test_bits_depend_on_no_instruction_set_and_no_number_of_threads(engine, monkeypatch):
    x = images(1001, 13, 19, engine.dtype)
    slow = next(each for each in bpcore.engines() if each.dtype == engine.dtype)
    found = []
    for used, n_threads in [(slow, 1), (engine, 1), (engine, 2), (engine, 7)]:
        monkeypatch.setattr(bpcore, "engine", lambda dtype, used=used: used)
        monkeypatch.setattr(distortion.check, "threads", int)  # more than there are processors
        found.append(bpnet.distort(x, seed=3, shift=1, n_threads=n_threads))
    assert all(same_bits(found[0], each) for each in found)


def test_an_image_is_distorted_by_the_seed_and_its_place_alone():
    x = images(50, 28, 28)
    whole = bpnet.distort(x, seed=4)
    assert same_bits(whole, bpnet.distort(x, seed=4))
    assert same_bits(whole[:7], bpnet.distort(x[:7], seed=4))
    assert same_bits(whole, bpnet.distort(x.reshape(50, 784), seed=4).reshape(x.shape))
    assert same_bits(whole, bpnet.distort(np.asfortranarray(x), seed=4))
    alike = bpnet.distort(np.stack([x[0], x[0]]), seed=4)
    assert not same_bits(alike[0], alike[1])
    assert not same_bits(whole, bpnet.distort(x, seed=5))


def test_many_images_are_as_few():
    """More than are done between two looks for a signal."""
    x = np.tile(images(1, 8, 8, np.float32), (70_000, 1, 1))
    many = bpnet.distort(x, seed=1)
    exact = twin(x[:1].astype(float), 1, **USUAL)
    np.testing.assert_allclose(many[:1], exact, atol=bound(x.shape, USUAL, np.float32))
    engine, last = bpcore.engine(np.float32), np.empty((3, 8, 8), np.float32)
    knots = distortion._knots(8, 5.0, engine.dtype)
    half = float(np.float32(math.tan(math.radians(5))))
    usual = {"half_rotation": half, "scale": 0.1, "shear": 0.1}
    moved = {"shift": 0.0, "displacement": 1.2 * math.sqrt(3)}
    engine.distort(
        x[:3], last, seed=1, first=69_997, down=knots, across=knots, **usual, **moved
    )
    assert same_bits(many[-3:], last)


def test_threads_share_few_large_images():
    x = images(3, 2100, 2000, np.float32)
    found = [bpnet.distort(x, seed=1, n_threads=n_threads) for n_threads in (1, 2)]
    assert same_bits(*found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_nothing_asked_for_is_nothing_done(dtype):
    x = (255 * images(5, 9, 14)).astype(dtype)
    before = x.copy()
    assert same_bits(bpnet.distort(x, seed=1, **NOTHING), x)
    bpnet.distort(x, seed=1)
    assert same_bits(x, before)


def test_what_only_underflows_stops_nothing():
    """Weights of knots next to which a pixel nearly lies are below float32."""
    x = images(2, 28, 28, np.float32)
    near = [np.nextafter(k / math.sqrt(3), end) for k in range(1, 28) for end in (0, 99)]
    usual = [bpnet.distort(x, seed=1, smoothness=each) for each in near]
    with np.errstate(all="raise"):
        quiet = [bpnet.distort(x, seed=1, smoothness=each) for each in near]
    assert same_bits(usual, quiet)


def test_bytes_are_rounded():
    x = (255 * images(20, 28, 28)).astype(np.uint8)
    assert same_bits(
        bpnet.distort(x, seed=8),
        np.rint(bpnet.distort(x.astype(np.float32), seed=8)).astype(np.uint8),
    )


def test_pixels_stay_in_the_range_that_they_had_and_0_but_for_rounding():
    x = 200.3 - 100 * images(300, 20, 20, np.float32)
    found = bpnet.distort(x, seed=2, displacement=5)
    assert found.min() == 0 and found.max() <= x.max() * (1 + 4 * np.finfo(x.dtype).eps)


# What is done can be read off two slopes: a pixel of them says where it comes from.
UP, ACROSS = (slope - SIDE // 2 for slope in np.mgrid[:SIDE, :SIDE].astype(float))
INNER = np.s_[SIDE // 2 - 4 : SIDE // 2 + 5, SIDE // 2 - 4 : SIDE // 2 + 5]


def places(seed, **options):
    """Return where the pixels in the middle come from, (x, y), from the middle of the image."""
    given = {**NOTHING, **options}
    found = [bpnet.distort(slope[None], seed=seed, **given)[0] for slope in (ACROSS, UP)]
    return found[0][INNER], found[1][INNER]


U, V = ACROSS[INNER], UP[INNER]
SEEDS = range(200)


def test_a_rotation_is_one_and_up_to_its_angle():
    angles = []
    for seed in SEEDS:
        x, y = places(seed, rotation=30.0)
        angle = math.atan2(y[4, 8], x[4, 8])
        np.testing.assert_allclose(x, math.cos(angle) * U - math.sin(angle) * V, atol=1e-9)
        np.testing.assert_allclose(y, math.sin(angle) * U + math.cos(angle) * V, atol=1e-9)
        angles.append(math.degrees(angle))
    assert -30 < min(angles) < -25 and 25 < max(angles) < 30


def test_width_and_height_change_by_their_share():
    factors = []
    for seed in SEEDS:
        x, y = places(seed, scale=0.2)
        across, down = 8 / (x[4, 8] - x[4, 0]), 8 / (y[8, 4] - y[0, 4])
        np.testing.assert_allclose(x, U / across, atol=1e-9)
        np.testing.assert_allclose(y, V / down, atol=1e-9)
        factors.append((across, down))
    for each in zip(*factors):
        assert 0.8 < min(each) < 0.82 and 1.18 < max(each) < 1.2
    assert abs(np.corrcoef(*zip(*factors))[0, 1]) < 5 / math.sqrt(len(SEEDS))


@pytest.mark.parametrize("option", ["shear", "shift"])
def test_rows_slide_and_images_shift_by_no_more_than_was_said(option):
    most = {"shear": 0.3, "shift": 2.5}[option]
    sizes = []
    for seed in SEEDS:
        x, y = places(seed, **{option: most})
        by = x - U
        if option == "shear":
            np.testing.assert_allclose(by, by[8, 4] / 4 * V, atol=1e-9)
            np.testing.assert_allclose(y, V, atol=1e-9)
            sizes.append(by[8, 4] / 4)
        else:
            np.testing.assert_allclose(by, by[4, 4], atol=1e-9)
            np.testing.assert_allclose(y - V, y[4, 4], atol=1e-9)
            sizes += [by[4, 4], y[4, 4]]
    assert -most < min(sizes) < -0.95 * most and 0.95 * most < max(sizes) < most


def test_displacements_are_smoothed_noise_of_that_deviation():
    """Beside white noise that a Gaussian of smoothness 2 smooths: of places d pixels apart the
    correlation is exp(-(d / 4)^2)."""
    moved = []
    for seed in range(2000):
        x, y = places(seed, displacement=0.8, smoothness=2.0)
        moved += [x - U, y - V]
    moved = np.array(moved)
    assert abs(moved).max() < 3.77 * 0.8
    n = len(moved)
    deviation = moved.std(axis=0)  # everywhere the same
    assert abs(deviation / 0.8 - 1).max() < 5 / math.sqrt(2 * n)
    assert abs(np.corrcoef(moved[::2, 4, 4], moved[1::2, 4, 4])[0, 1]) < 5 / math.sqrt(n / 2)
    for d in range(1, 5):
        of_neighbours = np.mean(moved[:, 4, 4] * moved[:, 4, 4 + d]) / 0.8**2
        assert of_neighbours == pytest.approx(math.exp(-((d / 4) ** 2)), abs=0.06)


def test_draws_are_even_and_none_is_another():
    draws = np.concatenate([drawn(seed, i, 50) for seed in range(20) for i in range(20)])
    assert -1 < draws.min() < -0.999 and 0.999 < draws.max() < 1
    assert len(np.unique(draws)) > 0.99 * len(draws)
    counts, _ = np.histogram(draws, 20, (-1, 1))
    expected = len(draws) / 20
    assert abs(counts - expected).max() < 5 * math.sqrt(expected)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": 2**64}, "seed must be at most 18446744073709551615"),
        ({"seed": 1.5}, "seed must be an integer, got 1.5"),
        ({"rotation": 91}, "rotation must be at most 90, got 91"),
        ({"rotation": -1}, "rotation must be at least 0, got -1"),
        ({"scale": 1}, "scale must be less than 1, got 1.0"),
        ({"shear": math.nan}, "shear must be finite in float64, got nan"),
        ({"shift": 1e9}, "shift must be at most 4096, got 1000000000.0"),
        ({"displacement": "far"}, "displacement must be a number, got 'far'"),
        ({"smoothness": 0.4}, "smoothness must be at least 0.5 pixels, got 0.4"),
        ({"n_threads": 0}, "n_threads must be at least 1, got 0"),
        (
            {"images": np.zeros((2, 783))},
            "sides up to 4,096, got (2, 783)",
        ),
        ({"images": np.zeros((28, 28))[0]}, "images must have shape (n, height, width)"),
        ({"images": np.zeros((2, 1, 4097))}, "of sides up to 4,096"),
        ({"images": np.zeros((2, 0, 4))}, "images must have shape (n, height, width)"),
        ({"images": np.zeros((2, 4), int)}, 'got int64: use images.astype("float32")'),
        ({"images": np.full((2, 4), np.inf)}, "images must be finite in float64, got inf"),
        ({"images": [["a"]]}, "images must be an array of real numbers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_one_sentence(options, said):
    options = {"images": np.zeros((2, 4)), "seed": 1, **options}
    with pytest.raises((TypeError, ValueError)) as raised:
        bpnet.distort(options.pop("images"), **options)
    assert said in str(raised.value)
