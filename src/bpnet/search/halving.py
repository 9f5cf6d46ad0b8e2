"""Successive halving: rung by rung, the best go on."""

from __future__ import annotations

import time
from concurrent.futures import Future, as_completed
from typing import Any

from bpnet.search.found import Found
from bpnet.search.journal import Journal
from bpnet.search.space import Plan, layers
from bpnet.search.task import Outcome, SettingError, Task
from bpnet.search.workers import Workers
from bpnet.watching import Watch

_TRIES = 3  # of a task whose worker dies


class Search:
    """A search under way; data is what stands for it in tasks."""

    def __init__(self, plan: Plan, workers: Workers, journal: Journal, data: Any, watch: Watch):
        self.plan, self.workers, self.journal = plan, workers, journal
        self.data, self.watch = data, watch

    def go(self) -> Found:
        """Train, rung by rung.

        What goes on is decided when a rung is complete, by its figures and the numbers of the
        settings: it is the same whoever ended first.
        """
        plan, start, begun = self.plan, time.perf_counter(), 0
        last: dict[int, Outcome] = {}
        alive = list(range(len(plan.settings)))
        for count, until in plan.rungs:
            seeds = plan.seeds if until == plan.job.epochs else plan.seeds[:1]
            self._gather([self._task(i, s, begun, until) for s in seeds for i in alive[:count]])
            found = [self.journal.outcomes[i, plan.seeds[0], until] for i in alive[:count]]
            found.sort(key=lambda outcome: outcome.place(plan.job))
            last |= {outcome.setting: outcome for outcome in found}
            alive = [outcome.setting for outcome in found if not outcome.diverged]
            if not alive:
                break
            self._tell(found, until)
            begun = until
        return Found(plan, self.journal.outcomes, last, time.perf_counter() - start)

    def _task(self, i: int, seed: int, begun: int, until: int) -> Task:
        plan = self.plan
        begun = begun if seed == plan.seeds[0] else 0
        state = self.journal.outcomes[i, seed, begun].state if begun else b""
        setting, halt = plan.settings[i], self.workers.halt
        return Task(self.data, i, setting, seed, plan.job, begun, until, state, halt)

    def _gather(self, tasks: list[Task]) -> None:
        """Have tasks done, in whatever order; again those whose worker dies."""
        tasks = [task for task in tasks if task.key not in self.journal.outcomes]
        # The longest first: workers then end at about the same time.
        tasks.sort(key=lambda task: -self._work(task))
        tries = 0
        while tasks:
            left, error = self._attempt(tasks)
            tries = tries + 1 if len(left) == len(tasks) else 1
            if left:
                self.workers.renew()
            if left and tries >= _TRIES:
                raise RuntimeError(
                    f"no worker lived to train setting {left[0].number} ({left[0].setting}): "
                    f"the last of {_TRIES} ended with {error!r}"
                ) from error
            tasks = left

    def _work(self, task: Task) -> int:
        return self.plan.job.parameters(task.setting) * (task.until - task.begun)

    def _attempt(self, tasks: list[Task]) -> tuple[list[Task], Exception | None]:
        """Return the tasks that were not done, and why."""
        futures: dict[Future[Outcome], Task] = {}
        left: list[Task] = []
        reason: Exception | None = None
        try:
            for i, task in enumerate(tasks):
                try:
                    futures[self.workers.submit(task)] = task
                except Exception as error:
                    left, reason = tasks[i:], error
                    break
            for future in as_completed(futures):
                try:
                    self._keep(futures[future], future.result())
                except SettingError:
                    raise
                except Exception as error:  # the executor's: a task raises nothing else
                    left, reason = [*left, futures[future]], error
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return left, reason

    def _keep(self, task: Task, outcome: Outcome) -> None:
        self.journal.keep(outcome)
        if self.watch.advance is not None:
            self.watch.advance(len(outcome.history) - task.begun)

    def _tell(self, found: list[Outcome], until: int) -> None:
        job, best = self.plan.job, found[0]
        self.watch.show(
            f"{len(found)} setting{'s' * (len(found) != 1)} until epoch {until}: the best "
            f"{job.shown(best.history[-1][job.figure])}{' %' * job.percent}, "
            f"{layers(self.plan.settings[best.setting]['hidden'])}"
        )
