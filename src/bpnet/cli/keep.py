"""Where a command's results go: looked at before the work, and kept elsewhere if need be."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from bpnet.wholefile import write_whole


def save(net: Any, path: str) -> None:
    """Save net; if that fails, elsewhere, and raise OSError that says where."""
    try:
        net.save(path)
    except OSError as error:
        reason = f"--save {path}: {error.strerror or error}"
        found = _rescued(net)
        if found is None:
            raise OSError(f"{reason}, nor is there another place for the network") from None
        raise OSError(f"{reason}: the network is in {found}") from None


def _rescued(net: Any) -> str | None:
    """Save net in a new file, here or among the temporary ones, and return its name."""
    for folder in (os.curdir, tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            number, path = tempfile.mkstemp(".npz", "bpnet-", os.path.abspath(folder))
            os.close(number)
            try:
                net.save(path)
                return path
            except OSError:
                os.unlink(path)
    return None


def draw(picture: Any, path: str) -> None:
    """Write a picture; one that is there is replaced, or kept."""
    form = Path(path).suffix[1:] or "png"
    try:
        write_whole(path, lambda file: picture.savefig(file, format=form))
    except OSError as error:
        raise OSError(f"--plot {path}: {error.strerror or error}") from None


def check_writable(option: str, path: str) -> None:
    """Raise OSError now rather than after the training."""
    target = Path(os.path.realpath(path))
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            writable = target.is_file() or not target.exists()
    except OSError:
        writable = False
    if not writable:
        raise OSError(f"{option} must name a file in a folder that can be written, got {path}")


def check_other(name: str, path: str, model: str) -> None:
    """Raise ValueError if the file to write is the model that it is made of."""
    if os.path.exists(path) and os.path.samefile(model, path):
        raise ValueError(f"{name} must be another file than MODEL, which it would replace")


def check_plot(path: str) -> None:
    """Draw something to nowhere: what is missing is said before the training."""
    from bpnet import plot

    picture = plot.learning_curve([{"epoch": 0, "update": 1.0}])
    picture.savefig(io.BytesIO(), format=Path(path).suffix[1:] or "png")
    check_writable("--plot", path)
