from numpy.typing import DTypeLike

from bpcore._core import Data as Data
from bpcore._core import Engine as Engine
from bpcore._core import Net as Net
from bpcore._core import Order as Order
from bpcore._core import compiler as compiler
from bpcore._core import engines as engines

__all__ = ["Data", "Engine", "Net", "Order", "compiler", "engine", "engines"]

def engine(dtype: DTypeLike) -> Engine: ...
