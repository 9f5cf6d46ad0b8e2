"""Pictures and labels in the tutorial's form, checked, whatever file they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet.mnist.stream import check_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bpnet.mnist.stream import Stream

    Images = NDArray[np.float32]  # (n, pixels), byte / 256
    Labels = NDArray[np.int64]  # (n,), from 0
    Split = tuple[Images, Labels]
    Parts = tuple[Split, Split, Split]

_CHUNK = 1 << 20
_DIGITS = 10


def scale(images: NDArray[Any]) -> Images:
    """Return pixels 0 to 255 as the tutorial's float32 byte / 256."""
    return np.multiply(images, np.float32(1 / 256), dtype=np.float32)


def as_pixels(array: NDArray[Any]) -> Images:
    """Return integers as byte / 256 and floats as they are; raise ValueError if they cannot be.

    Integers must be from 0 to 255, and floats finite in float32.
    """
    if array.dtype.kind in "iu":
        if array.dtype.itemsize > 1 or array.dtype.kind == "i":
            least, most = array.min(initial=0), array.max(initial=0)
            if least < 0 or most > 255:
                raise ValueError(f"its pixels are {least} to {most} and not 0 to 255")
        return scale(array)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = array.astype(np.float32, copy=False)
    if pixels.size and not (np.isfinite(pixels.min()) and np.isfinite(pixels.max())):
        raise ValueError("a pixel is not a finite number")
    return pixels


def upright(pictures: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return rows of pixels that are columns of EMNIST's pictures in reading order."""
    n = len(pictures)
    return pictures.reshape(n, height, width).transpose(0, 2, 1).reshape(n, height * width)


def read_pictures(
    stream: Stream, shape: tuple[int, int, int], dtype: Any, lying: bool = False
) -> Images:
    """Return shape[0] pictures as rows of pixels, read block by block."""
    n, height, width = shape
    pixels, dtype = height * width, np.dtype(dtype)
    if pixels == 0:
        raise ValueError(f"its pictures are {height} x {width}")
    stream.check_claim(n * pixels * dtype.itemsize)
    check_room(n * pixels * 4)
    images = np.empty((n, pixels), np.float32)
    rows = max(1, _CHUNK // (pixels * dtype.itemsize))
    for i in range(0, n, rows):
        raw = stream.take(min(rows, n - i) * pixels * dtype.itemsize)
        block = np.frombuffer(raw, dtype).reshape(-1, pixels)
        images[i : i + rows] = as_pixels(upright(block, height, width) if lying else block)
    return images


def check_pixels(images: Images, training: Split | None) -> None:
    """Raise ValueError if training has pictures of another size."""
    if training is not None and images.shape[1] != training[0].shape[1]:
        wanted = training[0].shape[1]
        raise ValueError(f"its pictures have {images.shape[1]} pixels and not {wanted}")


def as_labels(array: NDArray[Any], training: Split | None = None, first: int = 0) -> Labels:
    """Return labels, counted from first in the file, counted from 0.

    Raises ValueError if they are no integers, if training has none so large, or, for training,
    if there are more than ten and most of them do not occur: then one of them is damaged.
    """
    if array.dtype.kind not in "iu":
        raise ValueError(f"its labels are of {array.dtype} and not integers")
    labels = array.astype(np.int64) - first
    if labels.size == 0:
        return labels
    least, most = int(labels.min()), int(labels.max())
    found = f"its labels are {least + first} to {most + first}"
    classes = _DIGITS if training is None else max(_DIGITS, training[1].max(initial=0) + 1)
    if least < 0:
        raise ValueError(f"{found} and not from {first}")
    if most >= classes and training is not None:
        raise ValueError(f"{found} and not {first} to {classes - 1 + first}")
    if most >= classes and 2 * (occurring := len(np.unique(labels))) <= most + 1:
        raise ValueError(f"{found}, and only {occurring} of these occur")
    return labels


def count_classes(*parts: Any) -> int:
    """Return how many classes parts (images, labels) have: one more than the largest label.

    MNIST's 28 x 28 pictures have ten, though none of them may show a nine.
    """
    most = max((int(np.max(labels)) for _, labels in parts if len(labels)), default=0)
    digits = any(np.size(images[0]) == 28 * 28 for images, _ in parts if len(images))
    return max(most + 1, _DIGITS if digits else 1)
