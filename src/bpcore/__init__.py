"""The compiled core of bpnet: what is here serves the API, tests and benchmarks."""

import functools
import os

from bpcore._core import (
    INPUTS,
    MAX_CSR_INPUTS,
    Column,
    Data,
    Engine,
    Net,
    Order,
    are_columns,
    are_parameters,
    columns_dtype,
    compiler,
    engines,
    split,
)
from bpcore.packing import CSR, Source, blocks, pack

__all__ = [
    "CSR",
    "INPUTS",
    "MAX_CSR_INPUTS",
    "Column",
    "Data",
    "Engine",
    "Net",
    "Order",
    "Source",
    "are_columns",
    "are_parameters",
    "blocks",
    "columns_dtype",
    "compiler",
    "engine",
    "engines",
    "pack",
    "split",
]


@functools.cache
def engine(dtype):
    """Return the engine for float32 or float64 that this process uses.

    The fastest that the CPU can run, or the one that the environment variable BPNET_ISA names
    when this is first called.  Raises ValueError if it names another.
    """
    found = {row.isa: row for row in engines() if row.dtype == dtype}
    if not found:
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    isa = os.environ.get("BPNET_ISA") or list(found)[-1]
    if isa not in found:
        raise ValueError(
            f"BPNET_ISA must be one of {', '.join(found)} on this machine, got {isa!r}"
        )
    return found[isa]
