"""What a run of SGD shows while it lasts: nothing, lines, or lines above a progress bar."""

from __future__ import annotations

import sys
from typing import Any


class Watch:
    """A place for lines and for progress, in examples, of the total.

    verbose is False for silence, True for lines on stdout, "bar" for lines above a progress bar
    on stderr; where there is no terminal, no notebook or no tqdm, for lines alone.
    """

    def __init__(self, verbose: Any, total: int, done: int = 0):
        if verbose not in (False, True, "bar"):
            raise ValueError(f'verbose must be False, True or "bar", got {verbose!r}')
        self.compact = verbose == "bar"
        self._silent = not verbose
        self._bar = _bar(total, done) if self.compact else None
        self.advance = None if self._bar is None else self._bar.update

    def show(self, line: str, **figures: str) -> None:
        """Show a line; figures go to the end of the bar."""
        if self._silent:
            return
        if self._bar is None:
            print(line)
            return
        self._bar.set_postfix(figures, refresh=False)
        self._bar.write(line)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _bar(total: int, done: int) -> Any:
    if not ((sys.stderr and sys.stderr.isatty()) or "ipykernel" in sys.modules):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(
        total=total,
        initial=done,
        unit=" examples",
        unit_scale=True,
        dynamic_ncols=True,
        smoothing=0.1,
    )
