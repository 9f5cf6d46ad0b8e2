"""Pictures of single digits, made into a network's inputs as MNIST's digits were.

MNIST fits a digit's box into 20 x 20 pixels keeping its aspect, with grey edges, and puts its
centre of mass into the middle of 28 x 28, white on black.  Before that, paper and ink must be
told apart here: whatever their colours, in whatever light, beside frames and specks.
``bpnet/page/prepare.js`` does the same to a drawing: what changes here changes there.
"""

from __future__ import annotations

import functools
import io
import os
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Image = Any  # Pillow's, which is imported when a picture is read

__all__ = ["digit", "drawing", "is_picture"]

_FORMATS = {  # how their files begin
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "WEBP": (b"RIFF",),
    "TIFF": (b"II*\0", b"MM\0*"),
}
_DAMAGED = (  # what Pillow's decoders raise
    *(OSError, EOFError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError),
    struct.error,
)
_BOX = 20 / 28  # of the side: the longer side of a digit's box
_WORK = 128  # pixels of the longer side of the picture in which paper and ink are told apart
_GRID = 32  # the same, where the light is measured
_LOOKS = 6  # at the picture, each closer
_FAINT = 8  # of 255: less contrast is none
_RAMP = " .:-=+*#%@"


def digit(image: Any, side: int = 28, name: str = "image") -> Array:
    """Return the digit in a picture as MNIST would show it, float64 (side, side) in [0, 1).

    image is the path of a PNG, JPEG, BMP, GIF, WebP or TIFF file, the bytes of one, or a Pillow
    image; of several frames the first is taken.  Flat, ``digit(...).reshape(-1)``, the result
    is an input of a network with side * side inputs: ink up to 255 / 256 on paper of 0.  What
    is already as in MNIST comes out pixel by pixel.

    Paper and ink may have any two colours, either of them the lighter one, and the light may
    change over the paper.  Frames and specks that do not touch the digit are left out.  Raises
    ValueError, which calls the picture name, if it is damaged, a decompression bomb or blank;
    TypeError if image is none of these; ImportError if Pillow is missing.
    """
    try:
        import PIL.Image
    except ImportError:
        raise ImportError('a picture needs Pillow: pip install "bpnet[image]"') from None
    if isinstance(image, (str, os.PathLike)):
        image = Path(image).read_bytes()
    if isinstance(image, (bytes, PIL.Image.Image)):
        picture = _upright(image, name)
    else:
        kind = type(image).__name__
        raise TypeError(f"{name} must be a path, bytes or a Pillow image, got {kind}")
    as_it_is = _already_prepared(picture, side)
    if as_it_is is not None:
        return as_it_is
    for _ in range(_LOOKS):
        ink = _ink(picture, name)
        part = _within_frame(ink)
        if part is None:
            ink = ink * _kept(ink)
            part = _around_digit(ink)
        if part is None:
            break
        scale = [n / m for n, m in zip(picture.size, ink.shape[::-1])]
        picture = picture.crop([round(n * k) for n, k in zip(part, scale * 2)])
    return _placed(ink, side)


def is_picture(content: bytes) -> bool:
    """Say whether content begins as the files do that ``digit`` reads."""
    return content.startswith(tuple(start for starts in _FORMATS.values() for start in starts))


def drawing(pixels: Array) -> str:
    """Return pixels (h, w) in [0, 1] as h lines of ASCII text, two characters a pixel."""
    steps = np.clip(np.asarray(pixels) * len(_RAMP), 0, len(_RAMP) - 1).astype(int)
    return "\n".join("".join(2 * _RAMP[step] for step in row).rstrip() for row in steps)


# Files


def _upright(image: Any, name: str) -> Image:
    """Return a picture in mode L, RGB or F, from 0 to 255, turned as its camera was held."""
    import PIL.Image
    import PIL.ImageOps

    bomb = PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: the pixels are what counts
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            if isinstance(image, bytes):
                image = PIL.Image.open(io.BytesIO(image), formats=[*_FORMATS])
            return _without_alpha(PIL.ImageOps.exif_transpose(image))
    except (*bomb, *_DAMAGED) as error:
        raise ValueError(
            f"{name} must be a whole PNG, JPEG, BMP, GIF, WebP or TIFF picture: "
            f"{check.printable(error):.300}"
        ) from None


def _without_alpha(image: Image) -> Image:
    """Return image in mode L, RGB or F: on white or, if white ink vanishes there, on black."""
    import PIL.Image

    if image.mode[0] in "IF":  # more than 8 bits, which convert() would clip to 8
        values = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
        most = 65535 if image.mode[0] == "I" else 1
        values = values * (255 / max(most, values.max()))
        return PIL.Image.fromarray(values.astype(np.float32))
    if image.mode in ("1", "L") and not image.has_transparency_data:
        return image.convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    for paper in ("white", "black"):
        behind = PIL.Image.new("RGBA", image.size, paper)
        seen: Any = PIL.Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
        if max(high - low for low, high in seen.getextrema()) >= _FAINT:
            break
    return seen


def _array(picture: Image, most: int) -> Array:
    """Return picture as float64 (h, w, 1 or 3), no longer than most."""
    import PIL.Image

    scale = min(1, most / max(picture.size))
    size = [max(3, round(scale * length)) for length in picture.size]
    if size != [*picture.size]:
        picture = picture.resize(size, PIL.Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64).reshape(size[1], size[0], -1)


def _enlarged(a: Array, shape: tuple[int, ...]) -> Array:
    """Return a (h, w, channels) interpolated to another shape."""
    import PIL.Image

    channels: list[Any] = [
        PIL.Image.fromarray(a[:, :, c].astype(np.float32)) for c in range(a.shape[2])
    ]
    how = PIL.Image.Resampling.BILINEAR
    return np.stack([c.resize((shape[1], shape[0]), how) for c in channels], axis=2)


# Paper and ink


def _ink(picture: Image, name: str) -> Array:
    """Return how much ink there is, (h, w) from 0 to 1; ValueError if there is none."""
    a = _array(picture, _WORK)
    light = _enlarged(_paper(_array(picture, _GRID)), a.shape)
    d, level = _contrast(a - light)
    steps = np.abs(d[:, 2:] - d[:, :-2])
    noise = 1.05 * np.median(steps)  # sigma of Gaussian noise, whatever the light does
    if level < max(_FAINT, 4 * noise):
        raise ValueError(f"{name} must show a digit, got a blank picture")
    least = min(max(0.15 * level, 2 * noise), 0.4 * level)
    return np.clip((d - least) / (level - least), 0, 1)


def _contrast(d: Array) -> tuple[Array, float]:
    """Return what sets ink off from the paper, (h, w), and how much that is for most ink.

    d is the difference from the paper, (h, w, channels).  Colours are projected on the axis
    along which they differ most; ink is the side of it that goes further.
    """
    if d.shape[2] == 1:
        d = d[:, :, 0]
    else:
        colours = d.reshape(-1, d.shape[2])
        d = d @ np.linalg.eigh(colours.T @ colours)[1][:, -1]
    smooth = _neighbours(d, np.add) / 9 if min(d.shape) > _GRID else d  # no single pixels
    if smooth.max() < -smooth.min():
        d, smooth = -d, -smooth
    return d, max(float(np.median(d[d >= smooth.max() / 2])), 1e-9)


def _neighbours(a: Array, combine: Any) -> Array:
    """Return each element of a (h, w) combined with its eight neighbours."""
    for _ in range(2):  # by columns, then by rows
        padded = np.concatenate([a[:1], a, a[-1:]])
        a = combine(combine(padded[:-2], padded[1:-1]), padded[2:]).T
    return a


def _paper(a: Array) -> Array:
    """Return the paper's light where there is ink, too: an array like a (h, w, channels).

    A plane is fitted to it, a quadratic surface, and a median of the surroundings where
    neither explains the picture; the one counts with which paper and ink are two colours.
    """
    colours = a.reshape(-1, a.shape[2])
    powers = _powers(a.shape[0], a.shape[1], 2)
    even = (powers @ np.linalg.lstsq(powers, colours, rcond=None)[0]).reshape(a.shape)
    if _contrast(a - even)[1] < _FAINT:  # there is nothing but paper
        return even
    centred = colours - np.median(colours, axis=0)
    order = np.argsort(centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1])
    starts = [colours[order[round(q * (len(order) - 1))]] for q in (0.1, 0.9)]
    planes = [_surface(a, 1, start) for start in starts]
    best = min(planes, key=lambda plane: _spread(a - plane))
    left = _unexplained(a - best)
    found = _surface(a, 2, best)
    if _unexplained(a - found) < 0.9 * left:
        best, left = found, _unexplained(a - found)
    if left > 0.012:
        found = _surroundings(a)
        if _unexplained(a - found) < 0.9 * left:
            return found
    return best


def _surface(a: Array, degree: int, start: Array) -> Array:
    """Return the polynomial of x and y that most of a (h, w, channels) is near to.

    Robust: the weights of a least squares fit fall where a is far from the fit before, and
    what is far comes down from half of the scale to noise.  The fit before the first is start,
    a colour, or an array like a.
    """
    powers = _powers(a.shape[0], a.shape[1], degree)
    y = a.reshape(-1, a.shape[2])
    fitted = np.broadcast_to(start, a.shape).reshape(y.shape)
    for far in (100, 60, 35, 20, 12, 8):
        weighted = powers * (1 + ((y - fitted) ** 2).sum(axis=1, keepdims=True) / far**2) ** -2
        squares = weighted.T @ powers + 1e-6 * np.eye(powers.shape[1])
        fitted = powers @ np.linalg.solve(squares, weighted.T @ y)
    return fitted.reshape(a.shape)


@functools.lru_cache(maxsize=16)
def _powers(h: int, w: int, degree: int) -> Array:
    """Return x ** i * y ** j for each pixel (h * w) and i + j <= degree; x, y in [-1, 1]."""
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    ij = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([(x**i * y**j).ravel() for i, j in ij], axis=1)


def _surroundings(a: Array) -> Array:
    """Return the median of the square around each pixel: paper, if ink is the lesser part."""
    width = 13
    padded = np.pad(a, [(width // 2, width // 2)] * 2 + [(0, 0)], "symmetric")
    squares = np.lib.stride_tricks.sliding_window_view(padded, (width, width), (0, 1))
    return np.median(squares, axis=(-1, -2))


def _unexplained(d: Array) -> float:
    """Return how far the pixels are from paper or ink, mean squares, the contrast being 1."""
    d, level = _contrast(d)
    return float((np.minimum(abs(d / level), abs(d / level - 1)) ** 2).mean())


def _spread(d: Array) -> float:
    """Return ink's share of the picture and of its edge: the ink is what has less of them."""
    d, level = _contrast(d)
    sides = _sides(d > level / 2)
    framed = min(side.mean() for side in sides) > 0.95
    return float((d > level / 2).mean() + (0 if framed else np.concatenate(sides).mean()))


def _sides(a: Array) -> list[Array]:
    return [a[0], a[-1], a[:, 0], a[:, -1]]


# The digit


def _within_frame(ink: Array) -> tuple[int, int, int, int] | None:
    """Return what is within the frame that ink's edge is: (left, top, right, bottom)."""
    mask = ink > 0.3
    if min(side.mean() for side in _sides(mask)) <= 0.95:
        return None
    top, right, bottom, left = (_thickness(np.rot90(mask, turns)) for turns in range(4))
    return left, top, mask.shape[1] - right, mask.shape[0] - bottom


def _around_digit(ink: Array) -> tuple[int, int, int, int] | None:
    """Return what is worth a closer look, (left, top, right, bottom), if the digit is small."""
    top, bottom, left, right = _box(ink > 0.3)
    longer = max(bottom - top, right - left)
    if 2 * longer >= max(ink.shape):
        return None
    margin = longer // 4 + 2
    h, w = ink.shape
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(w, right + margin),
        min(h, bottom + margin),
    )


def _thickness(ink: Array) -> int:
    """Return how many rows from the top are a frame: most of it ink, a seventh at most."""
    rows = ink[: max(1, len(ink) // 7)].mean(axis=1) > 0.7
    return int(rows.argmin()) if not rows.all() else len(rows)


def _box(a: Array) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of what is not 0 in a."""
    rows, columns = np.flatnonzero(a.any(axis=1)), np.flatnonzero(a.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _kept(ink: Array) -> Array:
    """Return where the digit is, a mask (h, w): neither frames, nor specks, nor the edge's."""
    mask = ink > 0.3
    place = np.argwhere(mask)
    _, part, area = np.unique(_parts(mask)[mask], return_inverse=True, return_counts=True)
    n, shape = len(area), np.array(mask.shape)
    low, high = np.full((n, 2), shape.max()), np.zeros((n, 2), int)
    np.minimum.at(low, part, place)
    np.maximum.at(high, part, place)
    size = high - low + 1
    # A frame is large, and all of it is near to the sides of its own box.
    inside = np.minimum(place - low[part], high[part] - place) >= 0.1 * size[part]
    frame = (np.bincount(part, inside.all(axis=1), n) == 0) & (size > 0.7 * shape).all(axis=1)
    if not frame.all():
        area[frame] = 0
    inner = ((low > 0) & (high < shape - 1)).all(axis=1)
    if (size[inner & (area > 0)] > 0.2 * shape.max()).any():
        area[~inner] = 0  # of the table beneath the paper, of a neighbour
    mask[mask] = (area > 0.04 * area.max())[part]
    return _neighbours(_neighbours(mask, np.logical_or), np.logical_or)


def _parts(mask: Array) -> Array:
    """Return a number for each pixel of mask: the same for those that hang together."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = _neighbours(numbers, np.maximum) * mask
        if np.array_equal(spread, numbers):
            return numbers
        # A number is a pixel, too: it takes over the number that this one has by now.
        latest = np.concatenate([[0], spread.ravel()])
        numbers = latest[latest[spread]]


def _placed(ink: Array, side: int) -> Array:
    """Return ink in MNIST's size, its centre of mass in the middle of (side, side)."""
    top, bottom, left, right = _box(ink > 0.1)
    ink = ink[top:bottom, left:right]
    scale = round(_BOX * side) / max(ink.shape)
    h, w = (max(1, round(scale * length)) for length in ink.shape)
    ink = _shares(ink.shape[0], h) @ ink @ _shares(ink.shape[1], w).T
    top, left = (
        min(max(0, round(side / 2 - centre)), side - length)
        for centre, length in zip(_centre(ink), ink.shape)
    )
    placed = np.zeros((side, side))
    placed[top : top + h, left : left + w] = ink / ink.max() * (255 / 256)
    return placed


def _shares(n: int, m: int) -> Array:
    """Return the share of each of n pixels in each of the m that replace them, (m, n)."""
    edges = np.arange(m + 1)[:, None] * n / m
    covered = np.clip(edges - np.arange(n), 0, 1)  # of a pixel, left of an edge
    return np.diff(covered, axis=0) * m / n


def _centre(ink: Array) -> list[float]:
    """Return the centre of mass (row, column)."""
    return [
        float(ink.sum(axis=1 - axis) @ np.arange(ink.shape[axis]) / ink.sum())
        for axis in (0, 1)
    ]


def _already_prepared(picture: Image, side: int) -> Array | None:
    """Return the picture's own pixels, byte / 256, if MNIST would show it so; else None."""
    if picture.size != (side, side):
        return None
    grey = np.asarray(picture if picture.mode == "F" else picture.convert("L"), np.float64)
    for ink in (grey, 255 - grey):
        if ink.max() > 240 and ink.mean() < 128:
            top, bottom, left, right = _box(ink)
            off = abs(max(bottom - top, right - left) - _BOX * side)
            if off <= 1 and max(abs(centre - side / 2) for centre in _centre(ink)) <= 0.51:
                return ink / 256
    return None
