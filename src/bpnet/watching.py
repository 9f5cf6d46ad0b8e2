"""What a run of SGD shows while it lasts: nothing, lines, or lines above a progress bar.

What cannot be shown never ends a run: who trains for an hour wants the network.  A stdout that
breaks (a full disk, a pipe that nobody reads) will tell the script when it prints itself.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any


class Watch:
    """A place for lines and for progress, in units, of the total.

    verbose is False for silence, True for lines on stdout, "bar" for lines above a progress bar
    on stderr; where there is no terminal, no notebook or no tqdm, for lines alone.  A function
    is "bar" with its own lines: it returns one for what history holds of an epoch.  After a
    line that cannot be printed there are no more, after a bar that cannot be drawn lines alone.
    """

    def __init__(self, verbose: Any, total: int, done: int = 0, unit: str = "examples"):
        self.line: Callable[[Any], str] | None = verbose if callable(verbose) else None
        if self.line is None and verbose not in (False, True, "bar"):
            raise ValueError(f'verbose must be False, True or "bar", got {verbose!r}')
        self.compact = self.line is not None or verbose == "bar"
        self._silent = not verbose
        self._bar = _bar(total, done, unit) if self.compact else None
        self.advance = None if self._bar is None else self._advance

    def show(self, line: str, **figures: str) -> None:
        """Show a line; figures go to the end of the bar."""

        def above(bar: Any) -> None:
            bar.set_postfix(figures, refresh=False)
            bar.write(line)

        if self._silent or self._drawn(above):
            return
        try:
            print(line)
        except Exception as error:
            if not isinstance(print, BuiltinFunctionType):
                raise  # a print of the script's own, which may end what it likes
            self._silent = True
            _say(error)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._drawn(lambda bar: bar.close())

    def _advance(self, n: int) -> None:
        self._drawn(lambda bar: bar.update(n))

    def _drawn(self, draw: Callable[[Any], object]) -> bool:
        """Draw, and return whether there is a bar; one that cannot be drawn is dropped."""
        if self._bar is None:
            return False
        try:
            draw(self._bar)
        except Exception:
            self._bar.disable, self._bar = True, None
        return self._bar is not None


def _say(error: Exception) -> None:
    """Say on stderr why there are no more lines, but not to who closed a pipe."""
    with contextlib.suppress(Exception):
        if sys.stderr is not None and not isinstance(error, BrokenPipeError):
            reason = f"cannot print: {error}: training goes on without its lines"
            print(f"bpnet: {reason}", file=sys.stderr)


def _bar(total: int, done: int, unit: str) -> Any:
    try:
        if not ((sys.stderr and sys.stderr.isatty()) or "ipykernel" in sys.modules):
            return None
        from tqdm.auto import tqdm

        return tqdm(
            total=total,
            initial=done,
            unit=f" {unit}",
            unit_scale=True,
            dynamic_ncols=True,
            smoothing=0.1,
        )
    except Exception:  # no tqdm, or a stderr that is closed
        return None
