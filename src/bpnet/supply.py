"""What each epoch is trained on: the same examples, or others that a function makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

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
    epoch's are made in a thread of their own while this one's are trained on, in memory of
    their own; else made when they are asked for.
    """

    def __init__(
        self,
        name: str,
        given: Any,
        pack: Callable[[str, Examples], bpcore.Data],
        ahead: bool = False,
    ):
        self.name, self.given, self.pack = name, given, pack
        self.fresh = callable(given) and not isinstance(given, (type, Iterable))
        if not isinstance(ahead, (bool, np.bool_)):
            raise TypeError(f"ahead must be True or False, got {ahead!r}")
        if ahead and not self.fresh:
            raise ValueError(
                f"ahead must be False where {name} is not a function of the epoch: there is "
                f"nothing to make"
            )
        self.pool: ThreadPoolExecutor | None = None
        if ahead:
            from concurrent.futures import ThreadPoolExecutor  # not for those who need none

            self.pool = ThreadPoolExecutor(1, "bpnet examples")
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
            self.next = self.pool.submit(self._make_under, np.geterr(), epoch + 1)
        return changes

    def _make_under(self, errors: Any, epoch: int) -> Packed:
        """Make examples under the error state of the caller's thread, which is no other's."""
        with np.errstate(**errors):
            return self._make(epoch)

    def _make(self, epoch: int) -> Packed:
        name, given = self.name, self.given
        if self.fresh:
            name = f"{name}({epoch})"
            try:
                given = given(epoch)
            except StopIteration:  # which would end a loop of the caller's
                raise ValueError(
                    f"{name} must return examples, got StopIteration: there are no more"
                ) from None
        examples = data.accept(name, given)
        if self.pool is not None and examples is not given:
            # The function may write to the same arrays for the next epoch.
            examples.own = True
        return examples, self.pack(name, examples)

    def close(self) -> None:
        """Make no more; what is being made goes on in its thread, and nobody waits for it."""
        if self.pool is not None:
            idle = self.next is None or self.next.done()
            self.pool.shutdown(wait=idle, cancel_futures=True)
