"""MNIST's four files as they were published: out of the user's cache, or into it by pooch."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpnet import check
from bpnet.mnist.files import IDX, read_idx_split
from bpnet.wholefile import write_whole

if TYPE_CHECKING:
    from bpnet.mnist.pictures import Parts

# Both have the same bytes.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SUMS = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
SHA256 = {f"{name}.gz": known for name, known in zip(IDX.values(), _SUMS)}

_SILENT_SECONDS = 10.0  # without a byte, of whatever mirror: then it is given up
_FILE_SECONDS = 120.0  # for one file of one mirror
_MOST_BYTES = 1 << 24  # of one file; the training images have 10 MB
_CHUNK = 1 << 14


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


def read_cache() -> Parts:
    """Return the three parts of what earlier downloads have left.

    Raises OSError or RuntimeError if they are not there, ValueError if a file is damaged.
    """
    return _read(cache_folder())


def download() -> Parts:
    """Return the three parts, fetched from a mirror by pooch, and put the files in the cache.

    Each file has its published sum.  One line on stderr says that they come; where they cannot
    be kept, another says why.  Raises OSError if a file cannot be had from any mirror.
    """
    with tempfile.TemporaryDirectory(prefix="bpnet-", ignore_cleanup_errors=True) as folder:
        _Transfer(Path(folder)).wait()
        _keep(Path(folder))
        return _read(Path(folder))


def _read(folder: Path) -> Parts:
    return read_idx_split({content: folder / f"{name}.gz" for content, name in IDX.items()})


def _keep(folder: Path) -> None:
    """Put the four files in the cache, each whole or not at all."""
    try:
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        for name in SHA256:
            with open(folder / name, "rb") as file:
                write_whole(cache / name, functools.partial(shutil.copyfileobj, file))
    except (OSError, RuntimeError) as error:
        reason = check.printable(error)
        print(f"MNIST: the download could not be kept: {reason}", file=sys.stderr)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _reason(error: BaseException) -> str:
    """Return what was wrong in the first place: others have wrapped it, some in many lines."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__


class _Transfer:
    """A thread that fetches the four files into a folder, and what others must know of it.

    A name server, a handshake or a header can stall where the timeout of a socket does not see
    it: the thread is then left alone, and ends at the next byte that it gets.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._mirrors = list(MIRRORS)
        self._error: BaseException | None = None
        self.heard = time.monotonic()  # when the last bytes came
        self.given_up = False

    def wait(self) -> None:
        """Return when the files are in the folder; raise OSError if they will not be."""
        thread = threading.Thread(target=self._run, name="bpnet download", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.1)
                if thread.is_alive() and time.monotonic() > self.heard + _SILENT_SECONDS:
                    raise TimeoutError(f"no answer for {_SILENT_SECONDS:.0f} seconds")
        finally:
            self.given_up = True
        if self._error is not None:
            raise OSError(_reason(self._error))

    def _run(self) -> None:
        try:
            first, *others = reversed(SHA256)  # the smallest first: is there a connection?
            self._fetch(first)
            print("MNIST: downloading 12 MB, this once", file=sys.stderr, flush=True)
            for name in others:
                self._fetch(name)
        except BaseException as error:  # whatever a broken dependency of pooch thinks of
            self._error = error

    def _fetch(self, name: str) -> None:
        """Fetch a file from the first mirror that has it; one that fails is asked last then."""
        error: Exception = OSError("there is no mirror")
        for _ in MIRRORS:
            try:
                return self._get(name, self._mirrors[0])
            except Exception as raised:
                error = raised
                self._mirrors.append(self._mirrors.pop(0))
        raise error

    def _get(self, name: str, mirror: str) -> None:
        """Let pooch write a file, and check its sum."""
        import pooch

        bar = "images" in name and _on_terminal() and importlib.util.find_spec("tqdm")
        get = pooch.HTTPDownloader(bool(bar), chunk_size=_CHUNK, timeout=_SILENT_SECONDS / 2)
        with open(self._folder / name, "wb") as file:
            get(mirror + name, _Watched(self, file), None)
        if pooch.file_hash(file.name) != SHA256[name]:
            raise OSError("it is not what was published")


class _Watched:
    """The file that pooch writes to; it takes no more than one of MNIST's has, nor forever."""

    def __init__(self, transfer: _Transfer, file: Any):
        self._transfer, self._file = transfer, file
        self._room, self._end = _MOST_BYTES, time.monotonic() + _FILE_SECONDS
        self.flush = file.flush

    def write(self, chunk: bytes) -> None:
        """Write, or raise OSError if this is too much, too late or no longer wanted."""
        self._transfer.heard = now = time.monotonic()
        self._room -= len(chunk)
        if self._room < 0:
            raise OSError(f"more than {_MOST_BYTES:,} bytes")
        if self._transfer.given_up or now > self._end:
            raise TimeoutError(f"not done in {_FILE_SECONDS:.0f} seconds")
        self._file.write(chunk)
