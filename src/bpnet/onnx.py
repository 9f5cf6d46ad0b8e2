"""Trained networks as ONNX files, which other programs run: onnxruntime, browsers, phones.

Input ``X``, float32 of any number of rows.  A model that classifies has the outputs ``label``
and ``probabilities``, another the output ``variable``.  Only standard operators, of opset 13:
the first whose Softmax is of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpnet
from bpnet import byhand, check
from bpnet.wholefile import write_whole

if TYPE_CHECKING:
    from bpnet.check import Array

__all__ = ["ACTIVATIONS", "OUTPUTS", "export", "register_onnx"]

# A twin of every row of the core's tables: the operator of a hidden activation; that of the
# last layer, and whether it classifies.
ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "identity": "Identity"}
OUTPUTS = {
    "quadratic": ("Sigmoid", True),
    "cross-entropy": ("Sigmoid", True),
    "log-likelihood": ("Softmax", True),
    "squared": ("Identity", False),
    "poisson": ("Exp", False),
}
# What scikit-learn calls them.
_ESTIMATORS = {**ACTIVATIONS, "logistic": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}

_OPSET, _IR = 13, 7  # both of ONNX 1.8
_ITEMS = {"float32": 1, "float64": 11, "int64": 7, "object": 8}  # TensorProto.DataType
_MOST = 2**31 - 1  # bytes of a protobuf message
_GRAPH = 2**20  # bytes that all but the parameters may take


class _Net(NamedTuple):
    """What is exported, whoever trained it."""

    biases: list[Array]  # as those of bpnet's networks, as are weights
    weights: list[Array]
    hidden: str  # an operator, as is output
    output: str
    labels: Array | None  # int64 or strings, what the probabilities are of; None: of nothing
    multilabel: bool = False  # each probability has a label, 1 above 1/2


class _Graph(NamedTuple):
    """Arithmetic on X: constants by name, nodes in their order."""

    constants: dict[str, Array]
    nodes: list[tuple[str, list[str], str, dict[str, int]]]  # operator, from, to, attributes
    outputs: dict[str, tuple[np.dtype[Any], list[int]]]  # item type, shape of one row


def export(model: Any, path: check.AnyPath) -> Any:
    """Write a trained model to path as an ONNX file; return the ``onnx.ModelProto`` written.

    model is a ``Network`` of either chapter, an ``MLP``, or a fitted estimator with the
    attributes of scikit-learn's MLPClassifier or MLPRegressor.  Parameters of float64 are
    rounded to float32.  The same model gives the same bytes; the file is replaced in one step,
    or kept as it was.

    Raises TypeError if model is something else; ValueError if it is not fitted, if a script's
    own feedforward or sigmoid answers for it, if float32 cannot hold its parameters or a file
    their bytes; ImportError if onnx is missing; OSError if path cannot be written.
    """
    target = check.path("path", path)
    net = _read(model, np.dtype(np.float32))
    proto = _proto(_graph(net, np.dtype(np.float32)), net.weights[0].shape[1])
    write_whole(target, lambda file: file.write(proto.SerializeToString(deterministic=True)))
    return proto


def register_onnx() -> None:
    """Let ``skl2onnx.to_onnx`` convert the estimators of bpnet, also in Pipelines.

    Those of ``bpnet.estimators`` get the outputs that ``export`` writes; unless
    ``options={"zipmap": False}`` is given, skl2onnx makes a list of dicts of the
    probabilities.  To call it again changes nothing.  Raises ImportError if skl2onnx, or what
    ``bpnet.estimators`` needs, is missing.
    """
    try:
        import skl2onnx
    except ImportError:
        raise ImportError("register_onnx needs skl2onnx: pip install skl2onnx") from None
    from bpnet import estimators

    for cls, options in (
        # skl2onnx itself asks of nocl, where there is a ZipMap
        (estimators.MLPClassifier, {"zipmap": [True, False, "columns"], "nocl": [False]}),
        (estimators.MLPRegressor, None),
    ):
        skl2onnx.update_registered_converter(
            cls, f"Bpnet{cls.__name__}", _declare, _convert, options=options
        )


def _read(model: Any, dtype: np.dtype[Any]) -> _Net:
    """Return what is exported of model, its parameters in dtype."""
    if isinstance(model, (bpnet.MLP, bpnet.Network, bpnet.network2.Network)):
        return _from_network(model, dtype)
    kind, fitted = type(model).__name__, ("coefs_", "intercepts_", "out_activation_")
    if all(hasattr(model, name) for name in (*fitted, "activation")):
        return _from_estimator(model, dtype)
    if hasattr(model, "hidden_layer_sizes"):
        raise ValueError(f"model must be fitted, got {kind} without coefs_: call fit first")
    remedy = ": use skl2onnx, after register_onnx()" if hasattr(model, "steps") else ""
    raise TypeError(
        f"model must be a network of bpnet's, or a fitted MLPClassifier or MLPRegressor, "
        f"got {kind}{remedy}"
    )


def _from_network(net: Any, dtype: np.dtype[Any]) -> _Net:
    own = set() if isinstance(net, bpnet.MLP) else byhand.own_steps(net) & byhand.ANSWERS
    if own:
        raise ValueError(f"model must answer by bpnet's own {min(own)}, got the script's")
    sizes = check.layers(net.sizes)
    hidden = _operator("hidden", net.hidden, ACTIVATIONS)
    output, classifies = _operator("output", net.output or "quadratic", OUTPUTS)
    biases, weights = _parameters(sizes, net.biases, net.weights, dtype)
    labels = np.arange(max(sizes[-1], 2), dtype=np.int64) if classifies else None
    return _Net(biases, weights, hidden, output, labels)


def _from_estimator(model: Any, dtype: np.dtype[Any]) -> _Net:
    """Return what scikit-learn's attributes say; coefs_ are (n_in, n_out)."""
    hidden = _operator("activation", model.activation, _ESTIMATORS)
    output = _operator("out_activation_", model.out_activation_, _ESTIMATORS)
    coefs = [np.asarray(w) for w in model.coefs_]
    sizes = [coefs[0].shape[0], *(w.shape[1] for w in coefs)]
    biases = [np.reshape(b, (-1, 1)) for b in model.intercepts_]
    parameters = _parameters(sizes, biases, [w.T for w in coefs], dtype)
    if not hasattr(model, "classes_"):
        return _Net(*parameters, hidden, output, None)
    multilabel = output == "Sigmoid" and sizes[-1] > 1
    return _Net(*parameters, hidden, output, _labels(model.classes_), multilabel)


def _operator(name: str, row: Any, table: dict[str, Any]) -> Any:
    """Return the operator of a row; an error where the core has one that ONNX has not."""
    if row not in table:
        raise ValueError(f"{name} must be one of {', '.join(table)} for ONNX, got {row!r}")
    return table[row]


def _parameters(
    sizes: list[int], biases: Any, weights: Any, dtype: np.dtype[Any]
) -> tuple[list[Array], list[Array]]:
    """Return biases and weights as dtype, none of them infinite for being rounded to it."""
    count = sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:]))
    if (size := count * dtype.itemsize) > _MOST - _GRAPH:
        raise ValueError(
            f"model must have parameters of less than 2 GiB to be an ONNX file, "
            f"got {size:,} bytes: use fewer neurons"
        )
    found = check.parameters(sizes, biases, weights, dtype)
    for name, given, arrays in zip(("biases", "weights"), (biases, weights), found):
        for l, array in enumerate(arrays):
            if not (finite := np.isfinite(array)).all():
                value = np.ravel(given[l])[np.argmin(finite)]
                raise ValueError(f"{name}[{l}] must be finite in {dtype}, got {value}")
    return found


def _labels(classes: Any) -> Array:
    """Return an estimator's classes as int64 or as strings; of a single one, twice."""
    found = np.asarray(classes).tolist()
    if all(isinstance(c, str) for c in found):
        labels = np.array(found, dtype=object)
    else:
        for c in found:
            if not (isinstance(c, (int, float)) and c == c // 1 and abs(c) < 2**63):
                raise ValueError(f"classes_ must be integers or strings, got {c!r:.60}")
        labels = np.array([int(c) for c in found], dtype=np.int64)
    return np.resize(labels, max(len(labels), 2))


def _graph(net: _Net, dtype: np.dtype[Any]) -> _Graph:
    """Return the arithmetic of a network: its layers, and what is said of their outputs."""
    graph = _Graph({}, [], {})
    depth, n = len(net.weights), len(net.biases[-1])
    answer = "variable" if net.labels is None else "probabilities"
    names = ["X", *(f"a_{l}" for l in range(1, depth)), answer]
    if net.labels is not None and n == 1:
        names[-1], n = "a", 2  # of which _classify makes both probabilities
    for l, (b, w) in enumerate(zip(net.biases, net.weights)):
        graph.constants[f"weights_{l}"], graph.constants[f"biases_{l}"] = w, b.ravel()
        product = [names[l], f"weights_{l}", f"biases_{l}"]
        operator = net.output if l == depth - 1 else net.hidden
        graph.nodes.append(("Gemm", product, f"z_{l + 1}", {"transB": 1}))
        graph.nodes.append((operator, [f"z_{l + 1}"], names[l + 1], {}))
    if net.labels is not None:
        _classify(graph, net, dtype)
    graph.outputs[answer] = dtype, [n]
    return graph


def _classify(graph: _Graph, net: _Net, dtype: np.dtype[Any]) -> None:
    """Add label, and of a single output the probabilities of both answers."""
    constants, nodes, n = graph.constants, graph.nodes, len(net.biases[-1])
    if net.multilabel:
        constants["half"] = np.array(0.5, dtype)
        nodes.append(("Greater", ["probabilities", "half"], "above", {}))
        nodes.append(("Cast", ["above"], "label", {"to": _ITEMS["int64"]}))
        graph.outputs["label"] = np.dtype(np.int64), [n]
        return
    if n == 1:
        constants["one"] = np.array(1, dtype)
        nodes.append(("Sub", ["one", "a"], "rest", {}))
        nodes.append(("Concat", ["rest", "a"], "probabilities", {"axis": 1}))
    labels: Any = net.labels
    nodes.append(("ArgMax", ["probabilities"], "most", {"axis": 1, "keepdims": 0}))
    constants["labels"] = labels
    nodes.append(("Gather", ["labels", "most"], "label", {}))
    graph.outputs["label"] = labels.dtype, []


def _proto(graph: _Graph, n_in: int) -> Any:
    """Return the graph as a model of ONNX, checked by it."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise ImportError('an ONNX file needs onnx: pip install "bpnet[onnx]"') from None
    values = {"X": (np.dtype(np.float32), [n_in]), **graph.outputs}
    x, *outputs = (
        helper.make_tensor_value_info(name, _ITEMS[dtype.name], ["N", *row])
        for name, (dtype, row) in values.items()
    )
    proto = helper.make_model(
        helper.make_graph(
            [helper.make_node(op, a, [b], **more) for op, a, b, more in graph.nodes],
            "bpnet",
            [x],
            outputs,
            [numpy_helper.from_array(array, k) for k, array in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="bpnet",
        producer_version=bpnet.__version__,
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


# What skl2onnx calls, with an operator that stands for an estimator in its graph.


def _graph_of(operator: Any) -> _Graph:
    double = type(operator.inputs[0].type).__name__ == "DoubleTensorType"
    dtype = np.dtype(np.float64 if double else np.float32)
    return _graph(_read(operator.raw_operator, dtype), dtype)


def _declare(operator: Any) -> None:
    """Say the types and shapes of the outputs."""
    from skl2onnx.common import data_types

    types = {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "object": data_types.StringTensorType,
    }
    n = operator.inputs[0].get_first_dimension()
    for output, (dtype, row) in zip(operator.outputs, _graph_of(operator).outputs.values()):
        output.set_type(types[dtype.name]([n, *row]))


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes, by names that are new there; X becomes of the type of the parameters."""
    graph = _graph_of(operator)
    names = {k: scope.get_unique_variable_name(k) for k in graph.constants}
    names |= {k: scope.get_unique_variable_name(k) for _, _, k, _ in graph.nodes}
    names |= zip(graph.outputs, operator.output_full_names)
    names["X"] = scope.get_unique_variable_name("X")
    item = _ITEMS[graph.constants["weights_0"].dtype.name]
    container.add_node("Cast", [operator.inputs[0].full_name], [names["X"]], to=item)
    for k, array in graph.constants.items():
        container.add_initializer(
            names[k], _ITEMS[array.dtype.name], array.shape, array.ravel()
        )
    for op, a, b, more in graph.nodes:
        container.add_node(op, [names[k] for k in a], [names[b]], **more)
