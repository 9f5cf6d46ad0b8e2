"""What a command prints: readable in any terminal, and known to be lost if it is."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from bpnet import check


def prepare() -> None:
    """Let a pipe see each line as it ends, and no character be one that cannot be printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def say(text: str) -> None:
    """Write a line to stderr, if there is one that takes it."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
        if sys.stderr is not None:
            print(f"bpnet: {check.printable(text)}", file=sys.stderr)


def flushed(status: int) -> int:
    """Return the exit code when all that was printed is written: not 0 if some of it is lost.

    A stream that fails is then left alone, or Python would fail again when it exits.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            if not status and not isinstance(error, BrokenPipeError):
                say(f"error: the output is not whole: {error}")
            status = status or 1
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
    return status
