"""What is kept of a search: outcomes, in a file of JSON lines if there is one."""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bpnet import check
from bpnet.search.space import Plan
from bpnet.search.task import Outcome

if TYPE_CHECKING:
    from bpnet.search.task import Key

_FORMAT = {"bpnet.search": 1}  # how a file begins


class Journal:
    """Outcomes, in a file of JSON lines if there is a path; a line is whole or not there."""

    def __init__(self, path: Any, plan: Plan):
        self.path = None if path is None else check.path("log", path)
        self.file: Any = None
        self.header = json.loads(json.dumps(_FORMAT | {"plan": asdict(plan)}))
        self.outcomes: dict[Key, Outcome] = {}

    def __enter__(self) -> Journal:
        """Read what is there, and be ready to go on."""
        if self.path is None:
            return self
        self.file = open(self.path, "a+b")
        try:
            self.file.seek(0)
            end = 0
            for i, line in enumerate(self.file):
                if line.endswith(b"\n"):  # else the last was being written
                    self._read(i, line)
                    end += len(line)
            self.file.truncate(end)
            if not end:
                self._write(self.header)
        except BaseException:
            self.file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()

    def epochs(self) -> int:
        """Return how many were trained before."""
        ends: dict[tuple[int, int], int] = {}
        for outcome in self.outcomes.values():
            key = outcome.setting, outcome.seed
            ends[key] = max(ends.get(key, 0), len(outcome.history))
        return sum(ends.values())

    def keep(self, outcome: Outcome) -> None:
        """Add an outcome."""
        self.outcomes[outcome.key] = outcome
        if self.file is not None:
            state = base64.b64encode(zlib.compress(outcome.state, 1)).decode()
            self._write(asdict(outcome) | {"state": state})

    def _write(self, values: dict[str, Any]) -> None:
        values = values | {"sum": _sum(values)}
        self.file.write(json.dumps(values).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def _read(self, i: int, line: bytes) -> None:
        try:
            values = json.loads(line)
            if values.pop("sum") != _sum(values):
                raise ValueError
            if i == 0:
                self._check(values)
                return
            state = _unpacked(base64.b64decode(values["state"]))
            outcome = Outcome(**values | {"state": state})
            self.outcomes[outcome.key] = outcome
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            reason = str(error) if i == 0 else f"line {i + 1} is damaged"
            raise ValueError(
                f"log must be a file that search.run wrote, got {check.printable(self.path)}: "
                f"{reason}"
            ) from None

    def _check(self, values: Any) -> None:
        """Raise ValueError if a log is not that of this search."""
        if values.keys() != self.header.keys() or values["bpnet.search"] != 1:
            raise ValueError("it is another file")
        for name, ours in self.header["plan"].items():
            if values["plan"].get(name) != ours:
                raise ValueError(f"it is of a search with other {name}: name another file")


def _unpacked(packed: bytes) -> bytes:
    """Return a checkpoint, which does not shrink by much; ValueError if it did."""
    stream = zlib.decompressobj()
    state = stream.decompress(packed, 50 * len(packed) + 2**16)
    if not stream.eof:
        raise ValueError
    return state


def _sum(values: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(values).encode())
