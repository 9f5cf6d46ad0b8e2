"""What is searched with: examples to train on and others to validate with."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import bpnet
from bpnet import check

HELD_OUT = 1 / 6  # the share of examples to validate with where no others are given


def parts(
    data: Any, validation_data: Any, dtype: Any, seed: int
) -> tuple[bpnet.Dataset, bpnet.Dataset]:
    """Return the data to train on and to validate with."""
    if isinstance(data, tuple) and len(data) == 2 and all(map(_are_examples, data)):
        if validation_data is not None:
            raise ValueError(
                "validation_data must be None where data is (training, validation), got both"
            )
        data, validation_data = data
    training = _dataset("data", data, dtype)
    if validation_data is None:
        return training.split(HELD_OUT, seed)
    return training, _dataset("validation_data", validation_data, training.dtype)


def _are_examples(part: Any) -> bool:
    """Whether this is data, and no array of inputs, nor what is desired of them."""
    if isinstance(part, (bpnet.Dataset, str, bytes, os.PathLike)):
        return True
    pair = isinstance(part, tuple) and len(part) == 2 and hasattr(part[0], "shape")
    return pair or (isinstance(part, list) and bool(part) and isinstance(part[0], tuple))


def _dataset(name: str, given: Any, dtype: Any) -> bpnet.Dataset:
    if isinstance(given, (str, bytes, os.PathLike)):
        given = bpnet.open(check.path(name, given))
    if not isinstance(given, bpnet.Dataset):
        return bpnet.Dataset(given, dtype=np.float32 if dtype is None else dtype)
    if dtype is not None and given.dtype != check.floating(dtype):
        return bpnet.Dataset(given, dtype=dtype)
    return given


def sizes(training: bpnet.Dataset, validation: bpnet.Dataset) -> tuple[int, int, bool]:
    """Return the numbers of inputs and outputs, and whether examples have classes."""
    x, y = training[0]
    if isinstance(y, int):
        parts = training.labels("data", None), validation.labels("validation_data", None)
        return len(x), max(int(labels.max()) for labels in parts) + 1, True
    ones = len(y) > 1 and all(y.max() == 1 == y.sum() for _, y in training)
    return len(x), len(y), ones
