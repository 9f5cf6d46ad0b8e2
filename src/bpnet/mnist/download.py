"""MNIST's four IDX files, out of the user's cache or a mirror, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from bpnet import check
from bpnet.mnist.files import IDX
from bpnet.wholefile import open_file, write_whole

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# Of the uncompressed bytes: the mirrors compressed them differently.
SIZES = dict(zip(IDX, (47_040_016, 60_008, 7_840_016, 10_008)))
SHA256 = {
    "training images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "training labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

_SILENT_SECONDS = 10.0  # after which a mirror that sends nothing is given up
_FILE_SECONDS = 120.0  # for one file in all
_MOST_BYTES = 1 << 24  # of one file, compressed; the training images have 10 MB
_CHUNK = 1 << 16


def cache_folder() -> Path:
    """Return the folder of this user's cache, which may not exist yet.

    Raises RuntimeError if the user has no home.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "bpnet" / "mnist"


def published_files() -> dict[str, bytes]:
    """Return the four IDX files, uncompressed, by what is in them.

    What the cache lacks, or has damaged, is downloaded and put there; where that fails, one
    line on stderr says so.  Raises OSError if a file cannot be had from any mirror.
    """
    files: dict[str, bytes] = {}
    mirrors = list(MIRRORS)
    told = _on_terminal()
    unkept = None
    for content in reversed(IDX):  # the smallest first: is there a connection at all?
        name = f"{IDX[content]}.gz"
        try:
            files[content] = _unpack(content, _read_cache(name))
            continue
        except (OSError, RuntimeError):
            packed, files[content] = _download(content, mirrors)
        if not told:
            print(f"MNIST: downloading from {mirrors[0]}", file=sys.stderr, flush=True)
            told = True
        try:
            _write_cache(name, packed)
        except (OSError, RuntimeError) as error:
            unkept = error
    if unkept:
        reason = check.printable(unkept)
        print(f"MNIST: the download could not be kept: {reason}", file=sys.stderr)
    return files


def _unpack(content: str, packed: bytes) -> bytes:
    """Return the published bytes, or raise OSError; a bomb is cut at their size."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            unpacked = file.read(SIZES[content] + 1)
    except (EOFError, zlib.error) as error:
        raise OSError(f"not a whole gzip file: {error}") from None
    if hashlib.sha256(unpacked).hexdigest() != SHA256[content]:
        raise OSError("not the published bytes")
    return unpacked


def _download(content: str, mirrors: list[str]) -> tuple[bytes, bytes]:
    """Return a file as it came and unpacked; a mirror that fails is moved to the end."""
    reason = "there is no mirror"
    for _ in MIRRORS:
        try:
            packed = _get(f"{mirrors[0]}{IDX[content]}.gz")
            return packed, _unpack(content, packed)
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            reason = check.printable(" ".join(str(error).split()))
            mirrors.append(mirrors.pop(0))
    raise OSError(f"{IDX[content]}.gz could not be downloaded: {reason}")


def _get(url: str) -> bytes:
    """Return what url holds, within limits of size and time.

    It is received in a thread, since a name server, a handshake or a header can stall where
    the timeout of the socket does not see it.
    """
    received, expected, errors = bytearray(), [0], list[Exception]()
    given_up = threading.Event()

    def receive() -> None:
        try:
            with urllib.request.urlopen(url, timeout=_SILENT_SECONDS) as response:
                expected[0] = response.length or 0
                while not given_up.is_set() and (chunk := response.read1(_CHUNK)):
                    received.extend(chunk)
                    if len(received) > _MOST_BYTES:
                        raise OSError(f"more than {_MOST_BYTES:,} bytes")
        except urllib.error.HTTPError as error:
            error.close()
            errors.append(error)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=receive, name=url, daemon=True)
    thread.start()
    start = heard = time.monotonic()
    size, waiting = 0, True
    try:
        while waiting:
            thread.join(0.1)
            waiting = thread.is_alive()  # asked first, so that the last bytes are shown
            now = time.monotonic()
            if len(received) > size:
                size, heard = len(received), now
                _show_progress(url, size, expected[0])
            if waiting and now > min(heard + _SILENT_SECONDS, start + _FILE_SECONDS):
                raise TimeoutError(f"{size:,} bytes in {now - start:.0f} seconds")
    finally:
        given_up.set()
        if size and _on_terminal():
            print(file=sys.stderr)
    if errors:
        raise errors[0]
    return bytes(received)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _show_progress(url: str, received: int, expected: int) -> None:
    if _on_terminal():
        bar = "#" * (30 * received // max(received, expected))
        line = f"\r{url.rsplit('/', 1)[1]:28} [{bar:30}] {received / 1e6:5.1f} MB"
        print(line, end="", file=sys.stderr, flush=True)


def _read_cache(name: str) -> bytes:
    with open_file(cache_folder() / name) as file:
        return file.read(_MOST_BYTES)


def _write_cache(name: str, content: bytes) -> None:
    """Write a file whole, or leave what was there."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, lambda file: file.write(content))
