"""``bpnet.distort`` in NumPy, image by image: the judge of the core's."""

import math

import numpy as np


def distort(images, seed, rotation, scale, shear, shift, displacement, smoothness):
    """Return images (n, height, width) distorted as ``bpnet.distort`` says, one by one."""
    _, height, width = images.shape
    spacing = smoothness * math.sqrt(3)
    down, across = (spline(np.arange(size) / spacing) for size in (height, width))
    half = float(np.float32(math.tan(math.radians(rotation) / 2)))
    v, u = np.mgrid[:height, :width]
    u, v = u - (width - 1) / 2, v - (height - 1) / 2
    out = np.empty_like(images)
    for i, image in enumerate(images):
        draws = drawn(seed, i, 6 + 2 * down.shape[1] * across.shape[1])
        angle = 2 * math.atan(half * draws[0])
        wider, higher = 1 + scale * draws[1:3]
        turned_u = math.cos(angle) * u - math.sin(angle) * v
        turned_v = math.sin(angle) * u + math.cos(angle) * v
        knots = math.sqrt(3) * displacement * draws[6:].reshape(down.shape[1], -1, 2)
        bent_x, bent_y = (down @ knots[:, :, axis] @ across.T for axis in (0, 1))
        x = turned_u / wider + shear * draws[3] * turned_v + shift * draws[4] + bent_x
        y = turned_v / higher + shift * draws[5] + bent_y
        out[i] = interpolated(image, y + (height - 1) / 2, x + (width - 1) / 2)
    return out


def drawn(seed, i, n):
    """Return the first n draws of image i, in (-1, 1): the top bits of SplitMix64's numbers."""
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1

    def mixed(z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return z ^ z >> 31

    image = mixed(seed + golden * (i + 1) & mask)
    numbers = [mixed(image + golden * (k + 1) & mask) >> 41 | 1 for k in range(n)]
    return np.array(numbers) / 2**22 - 1


def spline(places):
    """Return the weight (places, knots) of each knot, where cubic B-splines of knots at -1, 0,
    1, ... have unit variance."""
    knots = np.arange(-1, int(places[-1]) + 3)
    distance = np.abs(places[:, None] - knots)
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return weights / np.sqrt(np.sum(weights**2, axis=1, keepdims=True))


def interpolated(image, y, x):
    """Return an image at the places (y, x), bilinear between its pixels, 0 outside."""
    framed = np.pad(image, 1)
    y = np.clip(y + 1, 0, framed.shape[0] - 1)
    x = np.clip(x + 1, 0, framed.shape[1] - 1)
    i, j = y.astype(int), x.astype(int)
    below, right = np.minimum(i + 1, len(framed) - 1), np.minimum(j + 1, framed.shape[1] - 1)
    s, t = y - i, x - j
    above = (1 - t) * framed[i, j] + t * framed[i, right]
    return (1 - s) * above + s * ((1 - t) * framed[below, j] + t * framed[below, right])
