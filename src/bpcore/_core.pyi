from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[Any]
_Parameters = tuple[list[_Array], list[_Array]]

INPUTS: tuple[np.dtype[Any], ...]
MAX_CODES: int
MAX_CSR_INPUTS: int
NARROW_CSR_INPUTS: int

class Engine:
    isa: str
    dtype: np.dtype[Any]
    activations: tuple[str, ...]
    outputs: dict[str, int]
    targets: dict[str, tuple[float, float]]
    rules: dict[str, tuple[tuple[str, ...], int]]
    @property
    def lanes(self) -> int: ...
    def distort(
        self,
        images: _Array,
        out: _Array,
        *,
        seed: int,
        first: int,
        down: tuple[int, NDArray[np.int64], _Array],
        across: tuple[int, NDArray[np.int64], _Array],
        half_rotation: float,
        scale: float,
        shear: float,
        shift: float,
        displacement: float,
        n_threads: int = 1,
    ) -> None: ...
    def gemm(self, a: _Array, b: _Array, c: _Array) -> None: ...
    def are_within(self, array: _Array, least: float = ..., most: float = ...) -> bool: ...
    def stack(self, values: list[Any], out: _Array) -> bool: ...
    def squares(
        self, before: list[_Array], after: list[_Array]
    ) -> tuple[float, float, float]: ...
    def activate(self, name: str, z: _Array) -> None: ...

class Order:
    n: int
    def __init__(self, n: int) -> None: ...
    def shuffle(self, source: Any, window: int | None = None) -> None: ...
    def assign(self, items: _Array) -> None: ...
    def windows(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]: ...
    def toarray(self) -> NDArray[np.int64]: ...
    def tolist(self) -> list[int]: ...

class Encoder:
    items: int
    def __init__(
        self,
        engine: Engine,
        n_in: int,
        limit: int,
        offsets: NDArray[np.int64],
        columns: NDArray[np.uint16],
        values: _Array,
        *,
        codes: NDArray[np.uint8] | None = None,
        table: _Array | None = None,
    ) -> None: ...
    @property
    def used(self) -> int: ...
    def append(self, x: _Array) -> int: ...

class Data:
    inputs: Any
    y: _Array | None
    def __init__(
        self,
        engine: Engine,
        x: _Array | tuple[Any, ...] | Data,
        n_out: int,
        *,
        y: _Array | None = None,
        labels: NDArray[np.int64] | None = None,
        weights: _Array | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def sparse(self) -> bool: ...
    @property
    def coded(self) -> bool: ...
    @property
    def nonzeros(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def rows(self, begin: int, end: int) -> _Array: ...
    def held(self, i: int) -> _Array: ...

class Column:
    ready: bool
    a: _Array
    z: _Array
    def __init__(
        self,
        engine: Engine,
        hidden: str,
        output: str | None,
        sizes: Any,
        biases: Any,
        weights: Any,
        x: Any,
    ) -> None: ...
    def forward(self) -> bool: ...
    def backward(self, y: Any, is_error: bool = False) -> _Parameters | None: ...
    def descend(self, y: Any, eta: float) -> _Parameters | None: ...

class Net:
    n_threads: int
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __init__(
        self,
        engine: Engine,
        sizes: Sequence[int],
        rows: int,
        n_threads: int = 1,
        *,
        hidden: str = "sigmoid",
        output: str = "quadratic",
        rule: str = "plain",
    ) -> None: ...
    def load(self, biases: Sequence[_Array], weights: Sequence[_Array]) -> None: ...
    def store(self) -> _Parameters: ...
    def store_into(
        self,
        biases: Sequence[_Array],
        weights: Sequence[_Array],
        slots: Sequence[_Parameters] = (),
    ) -> None: ...
    @property
    def steps(self) -> int: ...
    def state(self) -> tuple[int, list[_Parameters]]: ...
    def restore(self, steps: int, slots: Sequence[_Parameters]) -> None: ...
    def feedforward(self, data: Data) -> _Array: ...
    def backprop(
        self, data: Data, rows: _Array | None = None, out: _Parameters | None = None
    ) -> _Parameters: ...
    def sgd(
        self,
        data: Data,
        order: Order,
        mini_batch_size: int,
        eta: float,
        *,
        l2: float = 0.0,
        l1: float = 0.0,
        l2_by_batch: bool = False,
        parameters: Sequence[float] = (),
        losses: NDArray[np.float64] | None = None,
        clip: float = 0.0,
        progress: Callable[[int], object] | None = None,
    ) -> None: ...
    def evaluate(self, data: Data, costs: _Array | None = None, count: bool = True) -> int: ...

def are_columns(values: list[Any], n: int, dtype: np.dtype[Any]) -> bool: ...
def are_parameters(
    sizes: Sequence[int], biases: Any, weights: Any, dtype: np.dtype[Any]
) -> bool: ...
def split(pairs: list[Any]) -> tuple[list[Any], list[Any]] | None: ...
def columns_dtype(n_in: int) -> np.dtype[Any]: ...
def engines() -> list[Engine]: ...
def compiler() -> str: ...
