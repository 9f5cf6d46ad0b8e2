from numpy.typing import DTypeLike

from bpcore._core import INPUTS as INPUTS
from bpcore._core import MAX_CSR_INPUTS as MAX_CSR_INPUTS
from bpcore._core import Column as Column
from bpcore._core import Data as Data
from bpcore._core import Engine as Engine
from bpcore._core import Net as Net
from bpcore._core import Order as Order
from bpcore._core import are_columns as are_columns
from bpcore._core import are_parameters as are_parameters
from bpcore._core import columns_dtype as columns_dtype
from bpcore._core import compiler as compiler
from bpcore._core import engines as engines
from bpcore._core import split as split
from bpcore.packing import CSR as CSR
from bpcore.packing import Source as Source
from bpcore.packing import blocks as blocks
from bpcore.packing import pack as pack

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

def engine(dtype: DTypeLike) -> Engine: ...
