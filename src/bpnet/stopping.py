"""When training ends: the conditions a call of SGD is given, the first of them to hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bpnet import check

Record = dict[str, Any]  # what history holds of an epoch


class Stopping:
    """The conditions, each None where it is not asked for.

    judged_by is the key of history that max_error and patience look at, as
    "validation_accuracy": an accuracy, or a cost where there is none.  restore says whether
    patience brings back the weights of the best epoch.
    """

    def __init__(
        self,
        epochs: int,
        judged_by: str,
        *,
        min_update: float | None = None,
        max_error: float | None = None,
        patience: int | None = None,
        patience_name: str = "patience",
        min_delta: float = 0.0,
        max_seconds: float | None = None,
        callback: Callable[[Any, int], object] | None = None,
        restore: bool = True,
    ):
        self.epochs = check.integer("epochs", epochs, 0)
        self.min_update = _limit("min_update", min_update)
        self.max_error = _limit("max_error", max_error)
        if judged_by.endswith("accuracy") and (self.max_error or 0) > 1:
            raise ValueError(f"max_error must be at most 1, all examples, got {max_error!r}")
        self.min_delta = check.not_negative("min_delta", min_delta)
        self.max_seconds = _limit("max_seconds", max_seconds)
        if patience is not None:
            patience = check.integer(patience_name, patience, 1)
        self.patience, self.patience_name = patience, patience_name
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be a function of (net, epoch), got {callback!r}")
        self.callback = callback
        self.restores = restore and patience is not None
        self.judged_by = judged_by
        # early_stopping_n as the book has it: its best accuracy begins at 0, not below.
        self.best_error = float("inf") if restore else 1.0
        self.waited, self.called = 0, False

    @property
    def judges(self) -> bool:
        """Whether what judged_by names must be known."""
        return self.max_error is not None or self.patience is not None

    def _error(self, record: Record) -> float:
        """Return the share that is classified wrongly, exactly; or the cost."""
        figure: float = record[self.judged_by]
        return round(1 - figure, 12) if self.judged_by.endswith("accuracy") else figure

    def see(self, record: Record) -> bool:
        """Take note of an epoch; return whether it is the best so far, as patience sees it."""
        if self.patience is None:
            return False
        error = self._error(record)
        better = error < self.best_error - self.min_delta or self.best_error == float("inf")
        self.best_error = error if better else self.best_error
        self.waited = 0 if better else self.waited + 1
        return better

    def call_back(self, net: Any, epoch: int) -> None:
        """Ask the callback, once an epoch."""
        self.called = bool(self.callback is not None and self.callback(net, epoch))

    def reason(self, history: Sequence[Record], seconds: float) -> str | None:
        """Return the condition that holds after the epochs in history, or None."""
        if history:
            last = history[-1]
            if self.max_error is not None and self._error(last) < self.max_error:
                return "max_error"
            if self.min_update is not None and last["update"] < self.min_update:
                return "min_update"
            if self.patience is not None and self.waited >= self.patience:
                return self.patience_name
            if self.called:
                return "callback"
        if len(history) >= self.epochs:
            return "epochs"
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return "max_seconds"
        return None


def _limit(name: str, value: Any) -> float | None:
    return None if value is None else check.not_negative(name, value)
