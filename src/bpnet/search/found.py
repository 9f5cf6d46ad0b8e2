"""What a search found: a table, a picture, and the networks that one should take."""

from __future__ import annotations

import io
import json
import statistics
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import bpnet
from bpnet import plot
from bpnet.search.space import PARAMETERS, Job, Plan, layers
from bpnet.search.task import Outcome

if TYPE_CHECKING:
    from bpnet.search.task import Key


class Found:
    """What a search found.

    rows lists a dict for each setting, the best first, ready for JSON or pandas: what was set
    ("hidden", "eta", ...), "parameters", "epochs", "seeds" (how many), "validation_accuracy"
    or "validation_cost", the mean over them, with "lowest" and "highest", "seconds" of one
    network, "diverged", None or the epoch, and "crc" of all that was learned.  best is the
    ``bpnet.MLP`` of the first row, its best seed's; smallest that of the smallest network
    whose mean is no worse than the worst seed of the best row: what one should take.  Both are
    None where all diverged.  Their ``notes`` hold their row.  ``print`` shows a table.
    """

    def __init__(
        self,
        plan: Plan,
        outcomes: dict[Key, Outcome],
        last: dict[int, Outcome],
        seconds: float,
    ):
        self._plan, self.seconds = plan, seconds
        ended = {i: _ended(plan, outcomes, outcome) for i, outcome in last.items()}
        rows = {i: _row(plan, i, outcomes, ended[i]) for i in ended}
        order = sorted(rows, key=lambda i: _rank(plan.job, rows[i]))
        self.rows = [rows[i] for i in order]
        self.best: Any = None
        self.smallest: Any = None
        self._smallest_row: dict[str, Any] | None = None
        best = rows[order[0]]
        if best["diverged"] is None:
            good = [i for i in order if _is_as_good(plan.job, rows[i], best)]
            least = min(good, key=lambda i: rows[i]["parameters"])
            self.best = _network(plan.job, best, ended[order[0]])
            self.smallest = _network(plan.job, rows[least], ended[least])
            self._smallest_row = rows[least]

    @property
    def checksum(self) -> int:
        """The CRC-32 of all rows but for their seconds: the same wherever they were trained."""
        timeless = [{k: v for k, v in row.items() if k != "seconds"} for row in self.rows]
        return zlib.crc32(json.dumps(timeless, sort_keys=True).encode())

    def plot(self) -> Any:
        """Draw what was found against the number of parameters: a matplotlib Figure."""
        return plot.search_result(self.rows, self._smallest_row)

    def __repr__(self) -> str:
        """Return the table, and what follows from it."""
        return "\n".join(
            [self._title(), *_table(self.rows, self._plan.job), *self._conclusion()]
        )

    def _title(self) -> str:
        plan = self._plan
        whole = len(plan.settings) * plan.job.epochs * len(plan.seeds)
        trained = plan.epochs_to_train()
        return (
            f"{len(plan.settings)} settings, {trained:,} epochs trained of {whole:,} in full, "
            f"{self.seconds:.0f} s; {plan.lengths[0]:,} examples to train on, "
            f"{plan.lengths[1]:,} to validate"
        )

    def _conclusion(self) -> Iterator[str]:
        """Yield what is to be said below the table."""
        plan, job = self._plan, self._plan.job
        whole = [row for row in self.rows if row["diverged"] is None]
        stopped = {until: 0 for _, until in plan.rungs[:-1]}
        for row in whole:
            if row["epochs"] in stopped:
                stopped[row["epochs"]] += 1
        parts = [f"{n} after epoch {until}" for until, n in stopped.items() if n]
        if parts:
            yield f"Stopped: {', '.join(parts)}."
        if len(whole) < len(self.rows):
            yield f"{len(self.rows) - len(whole)} diverged: a smaller eta may not."
        least = self._smallest_row
        if least is not None and len(plan.seeds) > 1:
            spread = job.shown(self.rows[0]["highest"] - self.rows[0]["lowest"])
            yield (
                f"Seeds of the best differ by {spread}{' %' * job.percent}; the smallest "
                f"network as good as the worst of them: {layers(least['hidden'])}, "
                f"{least['parameters']:,} parameters."
            )


def _ended(plan: Plan, outcomes: dict[Key, Outcome], last: Outcome) -> list[Outcome]:
    """Return the last outcomes of a setting, one of each seed that it was trained with."""
    if last.epochs < plan.job.epochs:
        return [last]
    return [outcomes[last.setting, seed, last.epochs] for seed in plan.seeds]


def _row(
    plan: Plan, i: int, outcomes: dict[Key, Outcome], ended: list[Outcome]
) -> dict[str, Any]:
    """Return what the table holds of a setting."""
    job, setting = plan.job, plan.settings[i]
    figures = [each.history[-1][job.figure] for each in ended if not each.diverged]
    crc = 0
    for each in ended:
        crc = zlib.crc32(each.crc.to_bytes(4, "little"), crc)
    return {
        "setting": i,
        **setting,
        "parameters": job.parameters(setting),
        "epochs": ended[0].epochs,
        "seeds": len(ended),
        job.figure: statistics.mean(figures) if figures else None,  # between the two, exactly
        "lowest": min(figures, default=None),
        "highest": max(figures, default=None),
        "seconds": sum(o.seconds for key, o in outcomes.items() if key[0] == i) / len(ended),
        "diverged": min((len(o.history) for o in ended if o.diverged), default=None),
        "crc": crc,
    }


def _rank(job: Job, row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what rows are sorted by: those trained longest first, among them the best."""
    error = 0.0 if row["diverged"] is not None else job.error([row])
    return row["diverged"] is not None, -row["epochs"], error, row["setting"]


def _is_as_good(job: Job, row: dict[str, Any], best: dict[str, Any]) -> bool:
    """Whether a row's mean is no worse than the worst seed of the best."""
    if row["diverged"] is not None or row["epochs"] < best["epochs"]:
        return False
    worst = best["lowest" if job.percent else "highest"]
    return job.error([row]) <= job.error([{job.figure: worst}])


def _network(job: Job, row: dict[str, Any], ended: list[Outcome]) -> Any:
    """Return the trained network of a row's best seed."""
    outcome = min(ended, key=lambda each: each.place(job))
    net = bpnet.load(io.BytesIO(outcome.state))
    net.history, net.notes = outcome.history, {"search": row}
    return net


# The heading of a column, and how it is shown; of what is searched only what differs.
_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    **{name: (row.heading, row.show) for name, row in PARAMETERS.items()},
    "parameters": ("parameters", "{:,}".format),
    "epochs": ("epochs", str),
}


def _table(rows: list[dict[str, Any]], job: Job) -> Iterator[str]:
    """Yield the lines of a table, and before it what all rows have in common."""
    names, same = [], []
    for name, (heading, show) in _COLUMNS.items():
        if len({str(row[name]) for row in rows}) > 1 or name in ("hidden", "parameters"):
            names.append(name)
        else:
            same.append(f"{heading} {show(rows[0][name])}")
    if same:
        yield f"all with {', '.join(same)}, output {job.output}, {job.dtype}"
    head = ["#", *(_COLUMNS[name][0] for name in names)]
    head += ["validation, %" if job.percent else "validation cost", "seconds"]
    lines = [head]
    for k, row in enumerate(rows):
        cells = [str(k + 1), *(_COLUMNS[name][1](row[name]) for name in names)]
        lines.append([*cells, _figure(job, row), f"{row['seconds']:.2f}"])
    widths = [max(map(len, column)) for column in zip(*lines)]
    left = {1, len(head) - 2}  # names are read from the left, numbers from the right
    for line in lines:
        cells = [
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths))
        ]
        yield "  ".join(cells).rstrip()


def _figure(job: Job, row: dict[str, Any]) -> str:
    """Return the mean of a row with its range over seeds."""
    if row["diverged"] is not None:
        return f"diverged in epoch {row['diverged']}"
    mean, low, high = (job.shown(row[key]) for key in (job.figure, "lowest", "highest"))
    return mean if row["seeds"] == 1 else f"{mean} ({low} .. {high})"
