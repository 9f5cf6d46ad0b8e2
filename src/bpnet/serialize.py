"""A network's parameters in a file: npz, without pickle, exact, whole or not at all.

The file holds ``format``, ``version``, ``sizes``, and ``biases_0``, ``weights_0``, ... in the
network's dtype.
"""

from __future__ import annotations

import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from bpnet import data

if TYPE_CHECKING:
    from bpnet.data import Array

_FORMAT = "bpnet.Network"
_VERSION = 1

# What zipfile and numpy raise where a file is not what it was.
_DAMAGE = (
    zipfile.BadZipFile,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)


def save(
    path: str | os.PathLike[str], sizes: list[int], biases: list[Array], weights: list[Array]
) -> None:
    """Write parameters that fit sizes to path; a file that is there is replaced, or kept."""
    members: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "sizes": sizes}
    members |= {f"biases_{l}": b for l, b in enumerate(biases)}
    members |= {f"weights_{l}": w for l, w in enumerate(weights)}
    write_whole(path, lambda file: np.savez(file, **members))


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Let ``write`` fill a temporary file, then give it the name path, in one step.

    A link is followed, and the new file gets the permissions that open() would give.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a folder, a pipe, /dev/null
        raise OSError(f"path must name a file, got {os.fspath(path)}")
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _mode(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def load(path: str | os.PathLike[str]) -> tuple[list[int], list[Array], list[Array]]:
    """Return (sizes, biases, weights) that save wrote; ValueError if path holds no such."""
    with open(path, "rb") as file:
        try:
            return _parameters(file)
        except _DAMAGE as error:
            raise ValueError(
                f"{os.fspath(path)} must be a model that bpnet saved: {error}"
            ) from None


def _parameters(file: IO[bytes]) -> tuple[list[int], list[Array], list[Array]]:
    """Return (sizes, biases, weights); every array is as large as its bytes in the file."""
    with zipfile.ZipFile(file) as archive:
        if _read(archive, "format", np.dtype(f"U{len(_FORMAT)}"), ()) != _FORMAT:
            raise ValueError("it has another format")
        version = int(_read(archive, "version", np.dtype("i8"), ()))
        if version > _VERSION:
            raise ValueError(f"it has version {version}, written by a newer bpnet")
        n_layers = (len(archive.namelist()) - 3) // 2
        sizes = data.layers(_read(archive, "sizes", np.dtype("i8"), (n_layers + 1,)).tolist())
        dtype = data.floating(_header(archive, "weights_0")[1])
        biases = [
            _read(archive, f"biases_{l}", dtype, (n_out, 1))
            for l, n_out in enumerate(sizes[1:])
        ]
        weights = [
            _read(archive, f"weights_{l}", dtype, (n_out, n_in))
            for l, (n_in, n_out) in enumerate(zip(sizes, sizes[1:]))
        ]
    return sizes, biases, weights


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    info = archive.getinfo(f"{name}.npy")
    # Nothing is ever decompressed, and no member can be larger than the file.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > archive.start_dir:
        raise ValueError(f"{name} must be stored as it is")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} has another npy version")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype


def _read(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> Any:
    """Return a member that has this dtype and shape, checked before anything is allocated."""
    found = _header(archive, name)
    if found != (shape, dtype):
        raise ValueError(f"{name} must be {dtype} {shape}, got {found[1]} {found[0]}")
    info = archive.getinfo(f"{name}.npy")
    nbytes = dtype.itemsize * math.prod(shape)
    if not nbytes < info.file_size < nbytes + 1024:
        raise ValueError(f"{name} must be a header and {nbytes} bytes, got {info.file_size}")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
