"""Ctrl-C where something is trained and then kept: it ends the one, and tears not the other."""

from __future__ import annotations

import signal
import threading


class Interrupts:
    """A context in which Ctrl-C raises KeyboardInterrupt once, and none after ``hold``.

    ``came`` says whether there was one.  Nothing changes where Ctrl-C has another effect
    already (in the background of a shell it may have none), nor in a thread but the main one.
    """

    def __init__(self) -> None:
        self.came = self._held = self._ours = False

    def __enter__(self) -> Interrupts:
        """Begin."""
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._ours = usual and threading.current_thread() is threading.main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what Ctrl-C did before."""
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def hold(self) -> None:
        """Only note a Ctrl-C from now on."""
        self._held = True

    def _handle(self, *_: object) -> None:
        held, self._held, self.came = self._held, True, True
        if not held:
            raise KeyboardInterrupt
