"""Download MNIST's four IDX files into the user's cache, whole and verified or not at all."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from bpnet.mnist_files import IDX

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# SHA-256 of the uncompressed bytes: the mirrors compressed them differently.
SHA256 = {
    "training images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "training labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

_CONNECT_SECONDS = 5.0  # of silence
_FILE_SECONDS = 120.0  # for one file in all
_MOST_BYTES = 1 << 26  # of one file: the training images have 47 MB
_CHUNK = 1 << 16


def cache_folder() -> Path:
    """Return the folder of this user's cache, which may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bpnet" / "mnist"


def is_whole(content: str, path: Path) -> bool:
    """Whether a file of the cache has the bytes that were published."""
    try:
        with gzip.open(path) as file:
            return hashlib.sha256(file.read(_MOST_BYTES)).hexdigest() == SHA256[content]
    except (OSError, EOFError, zlib.error):
        return False


def download(folder: Path) -> dict[str, Path]:
    """Fetch the files that folder lacks; return them all, by what is in them.

    Raises OSError if a file cannot be had from any mirror, or not be written.  A file appears
    in folder only when it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for content, name in IDX.items():
        paths[content] = folder / f"{name}.gz"
        if not is_whole(content, paths[content]):
            _write(paths[content], _fetch(content, f"{name}.gz"))
    return paths


def _fetch(content: str, name: str) -> bytes:
    reason: object = "no mirrors"
    for mirror in MIRRORS:
        try:
            packed = _get(mirror + name)
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                unpacked = file.read(_MOST_BYTES)
        except (OSError, EOFError, zlib.error, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            continue
        if hashlib.sha256(unpacked).hexdigest() == SHA256[content]:
            return packed
        reason = "not the published bytes"
    raise OSError(f"{name} could not be downloaded ({reason})")


def _get(url: str) -> bytes:
    """Return what url holds, within limits of size and time."""
    end = time.monotonic() + _FILE_SECONDS
    received = bytearray()
    if not sys.stderr.isatty():
        print(f"downloading {url}", file=sys.stderr, flush=True)
    with urllib.request.urlopen(url, timeout=_CONNECT_SECONDS) as response:
        expected = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read1(_CHUNK):
            received += chunk
            if len(received) > _MOST_BYTES:
                raise OSError(f"more than {_MOST_BYTES:,} bytes")
            if time.monotonic() > end:
                raise TimeoutError(f"more than {_FILE_SECONDS:.0f} seconds")
            _show_progress(url, len(received), expected)
    return bytes(received)  # cut short or not: the sum will tell


def _show_progress(url: str, received: int, expected: int) -> None:
    """Draw a bar, on a terminal."""
    if not sys.stderr.isatty():
        return
    name = url.rsplit("/", 1)[1]
    share = min(received / expected, 1.0) if expected else 0.0
    bar = "#" * int(30 * share)
    end = "\n" if received == expected else ""
    line = f"\r{name:28} [{bar:30}] {received / 1e6:5.1f} MB"
    print(line, end=end, file=sys.stderr, flush=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
