"""Images distorted a little, each in its own way: fresh examples where there are few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check
from bpnet.data import finite

if TYPE_CHECKING:
    from bpnet.check import Array

_MOST_PIXELS = 2**12  # a side: places fit 32 bits, and Ctrl-C is heard between images


def distort(
    images: Any,
    *,
    seed: int,
    rotation: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.1,
    shift: float = 0.0,
    displacement: float = 1.2,
    smoothness: float = 5.0,
    n_threads: int = 1,
) -> Array:
    """Return images that are rotated, scaled, slanted, shifted and bent, each in its own way.

    images is an array (n, height, width), or (n, pixels) of square ones, of float32, float64 or
    uint8; the result has its shape and dtype.  What is done to image i is drawn from seed, in
    [0, 2**64), and i alone.  Evenly and both ways, up to

    - rotation: degrees, at most 90, about the middle (drawn is the tangent of half the angle);
    - scale: width and height, each, change by this share of them, less than 1;
    - shear: each row slides by this share of its distance from the middle row;
    - shift: pixels across, and as many down.

    And each pixel moves, across and down, by a number of pixels whose standard deviation is
    displacement, and which is never more than 3.77 times that: white noise, smoothed by a
    kernel of standard deviation smoothness, in pixels, at least 0.5.  That is Simard et al.'s
    (2003) elastic distortion, its Gaussian replaced by a cubic B-spline.

    A pixel is interpolated between four neighbours; outside an image there are zeros.
    n_threads is the most threads to use; the bits are the same for any number, and on
    every instruction set.

    Raises TypeError or ValueError if an argument is not as described, or an item not finite.
    """
    given, pixels = _images(images)
    seed = check.integer("seed", seed, 0, 2**64 - 1)
    rotation = _at_most("rotation", rotation, 90.0)
    scale = check.not_negative("scale", scale)
    if scale >= 1:
        raise ValueError(f"scale must be less than 1, got {scale}")
    smoothness = check.not_negative("smoothness", smoothness)
    if smoothness < 0.5:
        raise ValueError(f"smoothness must be at least 0.5 pixels, got {smoothness}")
    # The last bits of a tangent are the C library's own: these are left away.
    tangent = math.tan(math.radians(rotation) / 2)
    engine = bpcore.engine(pixels.dtype)
    out = np.empty_like(pixels)
    engine.distort(
        pixels,
        out,
        seed=seed,
        first=0,
        down=_knots(pixels.shape[1], smoothness, pixels.dtype),
        across=_knots(pixels.shape[2], smoothness, pixels.dtype),
        half_rotation=float(np.float32(tangent)),
        scale=scale,
        shear=_at_most("shear", shear, _MOST_PIXELS),
        shift=_at_most("shift", shift, _MOST_PIXELS),
        displacement=math.sqrt(3) * _at_most("displacement", displacement, _MOST_PIXELS),
        n_threads=check.threads(n_threads),
    )
    if given.dtype == np.uint8:
        out = np.rint(out, out=out).astype(np.uint8)
    return out.reshape(given.shape)


def _images(images: Any) -> tuple[Array, Array]:
    """Return images as an array, and as one (n, height, width) of floats for the core."""
    given = check.array("images", images)
    if given.dtype not in (np.float32, np.float64, np.uint8):
        raise TypeError(
            f"images must be of float32, float64 or uint8, got {given.dtype}: use "
            f'images.astype("float32")'
        )
    shape = given.shape
    if given.ndim == 2 and math.isqrt(shape[1]) ** 2 == shape[1]:
        shape = shape[0], math.isqrt(shape[1]), math.isqrt(shape[1])
    if len(shape) != 3 or not 1 <= min(shape[1:]) <= max(shape[1:]) <= _MOST_PIXELS:
        raise ValueError(
            f"images must have shape (n, height, width), or (n, pixels) if they are square, of "
            f"sides up to {_MOST_PIXELS:,}, got {given.shape}"
        )
    if given.dtype == np.uint8:
        return given, given.reshape(shape).astype(np.float32)
    pixels = np.ascontiguousarray(given).reshape(shape)
    return given, finite("images", pixels)


def _at_most(name: str, value: Any, most: float) -> float:
    number = check.not_negative(name, value)
    if number > most:
        raise ValueError(f"{name} must be at most {most:g}, got {value!r}")
    return number


def _knots(size: int, smoothness: float, dtype: Any) -> tuple[int, Array, Array]:
    """Return the number of knots that move so many pixels, and for each of these the first of
    its four and their weights, the squares of which add up to 1.

    A cubic B-spline is uniform noise four times over: of knots a distance h apart its standard
    deviation is h / sqrt(3).
    """
    place = np.arange(size) / (smoothness * math.sqrt(3))
    first = place.astype(np.int64)
    t = place - first
    s = 1 - t
    weights = np.stack(
        [s * s * s, (3 * t - 6) * t * t + 4, (3 * s - 6) * s * s + 4, t * t * t], axis=1
    )
    with np.errstate(under="ignore"):
        weights /= np.sqrt((weights * weights).sum(axis=1, keepdims=True))
        return int(first[-1]) + 4, first, weights.astype(dtype)
