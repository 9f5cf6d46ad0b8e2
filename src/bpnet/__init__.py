"""bpnet: the backpropagation tutorial's network, with the original API, on a compiled core.

>>> import bpnet
>>> net = bpnet.Network([784, 30, 10])
>>> training_data, validation_data, test_data = bpnet.mnist_loader.load_data_wrapper()
>>> net.SGD(training_data, 30, 10, 3.0, test_data=test_data)
"""

import importlib as _importlib

from bpnet import mnist_loader, network, network2, plot, reference
from bpnet.config import show_config
from bpnet.dataset import Dataset
from bpnet.dataset import open as open  # not in __all__: import * leaves the builtin alone
from bpnet.distortion import distort
from bpnet.gradient_check import gradient_check
from bpnet.gradients import Gradients
from bpnet.mlp import MLP
from bpnet.network import Network, load
from bpnet.predictor import Predictor
from bpnet.rules import Rule

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Dataset",
    "Gradients",
    "Network",
    "Predictor",
    "Rule",
    "distort",
    "gradient_check",
    "load",
    "mnist_loader",
    "network",
    "network2",
    "plot",
    "reference",
    "show_config",
]

# Imported when they are first named: most programs need none of them.
_EXTRAS = ("estimators", "onnx", "page", "search", "table")


def __getattr__(name: str) -> object:
    if name not in _EXTRAS:
        raise AttributeError(f"module 'bpnet' has no attribute {name!r}")
    return _importlib.import_module(f"bpnet.{name}")
