"""Save a network to a file and load it: npz, without pickle, exact, whole or not at all.

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
from typing import IO, Any

import numpy as np

from bpnet import data
from bpnet.network import Network

__all__ = ["load", "save"]

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


def save(net: Network, path: str | os.PathLike[str]) -> None:
    """Write net to path; a file that is there is replaced in one step, or kept.

    Raises ValueError if the parameters do not fit ``net.sizes``, OSError if path cannot be
    written; then nothing has changed.
    """
    sizes = data.layers(net.sizes)
    biases, weights = data.parameters(sizes, net.biases, net.weights, net.dtype)
    members: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "sizes": sizes}
    members |= {f"biases_{l}": b for l, b in enumerate(biases)}
    members |= {f"weights_{l}": w for l, w in enumerate(weights)}
    write_whole(path, lambda file: np.savez(file, **members))


def write_whole(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Let ``write`` fill a temporary file, then give it the name path, in one step.

    A link is followed, and the new file gets the permissions that open() would give.
    """
    target = Path(os.path.realpath(path))
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


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that ``Network.save`` wrote to path.

    Nothing in the file is run and no random number is drawn.  Raises FileNotFoundError if
    there is no file, ValueError if it is not a whole model of a version that is known.
    """
    with open(path, "rb") as file:
        try:
            sizes, biases, weights = _parameters(file)
        except _DAMAGE as error:
            raise ValueError(
                f"{os.fspath(path)} must be a model that bpnet saved: {error}"
            ) from None
    net = Network.__new__(Network)
    net.num_layers = len(sizes)
    net.sizes = sizes
    net.biases, net.weights = biases, weights
    if net.weights[0].dtype != Network.dtype:
        net.dtype = net.weights[0].dtype
    return net


def _parameters(file: IO[bytes]) -> tuple[list[int], list[Any], list[Any]]:
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
    with archive.open(f"{name}.npy") as member:
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
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > archive.start_dir:
        raise ValueError(f"{name} must be stored as it is")
    nbytes = dtype.itemsize * math.prod(shape)
    if not nbytes < info.file_size < nbytes + 1024:
        raise ValueError(f"{name} must be a header and {nbytes} bytes, got {info.file_size}")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
