"""What each epoch is trained on: the same examples, or others that a function makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bpnet import data

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    import bpcore
    from bpnet.data import Examples

    Packed = tuple[Examples, bpcore.Data]


class Supply:
    """The examples of every epoch, accepted and packed.

    given is examples in any form that calls take, or a function that returns such for epoch
    0, 1, ..., always as many.  pack packs what the caller knows by a name.  With ahead the next
    epoch's are made in a thread of their own while this one's are trained on; else made when
    they are asked for.
    """

    def __init__(
        self,
        name: str,
        given: Any,
        pack: Callable[[str, Examples], bpcore.Data],
        ahead: bool = False,
    ):
        self.name, self.given, self.pack = name, given, pack
        self.fresh = callable(given)
        if ahead and not self.fresh:
            raise ValueError(
                f"ahead must be False where {name} is not a function of the epoch: there is "
                f"nothing to make"
            )
        self.pool = _thread() if ahead else None
        self.next: Future[Packed] | None = None  # of the epoch after the one that is held
        self.examples, self.packed = self._make(0)
        self.epoch = 0  # whose examples these are

    def take(self, epoch: int, more: bool) -> bool:
        """Hold the examples of an epoch; return whether they are others than before.

        more: the epoch after it will be asked for, perhaps.  What makes examples may raise
        anything; those of before are then held.
        """
        changes = self.fresh and epoch != self.epoch
        if changes:
            ahead, self.next = self.next, None
            made = ahead.result() if ahead is not None else self._make(epoch)
            n = len(self.packed)
            if len(made[1]) != n:
                raise ValueError(
                    f"{self.name}({epoch}) must hold {n:,} examples, as {self.name}(0) does, "
                    f"got {len(made[1]):,}"
                )
            self.examples, self.packed = made
            self.epoch = epoch
        if self.pool is not None and more:
            self.next = self.pool.submit(self._make, epoch + 1)
        return changes

    def _make(self, epoch: int) -> Packed:
        name, given = self.name, self.given
        if self.fresh:
            name, given = f"{name}({epoch})", given(epoch)
        examples = data.accept(name, given)
        return examples, self.pack(name, examples)

    def close(self) -> None:
        """Wait for what is being made, and make no more."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


def _thread() -> ThreadPoolExecutor:
    """Return a thread to work in; what few need is imported here."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1, "bpnet ahead")
