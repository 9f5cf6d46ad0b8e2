"""A network that is kept ready answers as the network does, from any thread."""

import pickle
import threading

import numpy as np
import pytest
from engines import same_bits

import bpnet

NETWORKS = {
    "network": bpnet.Network,
    "network2": bpnet.network2.Network,
    "mlp": lambda *given, **more: bpnet.MLP(*given, output="log-likelihood", **more),
}


@pytest.fixture(params=[(name, dtype) for name in NETWORKS for dtype in ("float32", "float64")])
def net(request):
    name, dtype = request.param
    return NETWORKS[name]([6, 9, 3], seed=1, dtype=dtype)


def inputs(n, dtype):
    return np.random.RandomState(2).randn(n, 6).astype(dtype)


def answers(net, x):
    return net.predict(x) if isinstance(net, bpnet.MLP) else net.feedforward(x.T).T


@pytest.mark.parametrize("n", [0, 1, 2, 127, 128, 129, 1000])
def test_its_answers_are_the_networks_bits(net, n):
    x = inputs(n, net.dtype)
    wanted = answers(net, x) if n else np.empty((0, 3), net.dtype)
    for n_threads in (1, 2, 10**6):
        predictor = net.predictor(n_threads)
        for given in (x, np.asfortranarray(x), x[::-1][::-1]):
            found = predictor(given)
            assert found.dtype == net.dtype and same_bits(np.ascontiguousarray(wanted), found)


def test_it_takes_every_form_that_training_takes(net):
    x = inputs(20, net.dtype)
    predictor, labels = net.predictor(), np.arange(20) % 3
    dataset = bpnet.Dataset((x, labels), dtype=net.dtype)
    forms = [x.tolist(), x.astype(float), (x, labels), dataset]
    for given in [*forms, [(row[:, None], np.eye(3)[:, [0]]) for row in x]]:
        assert same_bits(predictor(given), predictor(x))


def test_nothing_changes_it_any_more(net):
    x = inputs(5, net.dtype)
    predictor, before = net.predictor(), answers(net, x).copy()
    net.weights[0][...] = 7
    net.biases = [b + 1 for b in net.biases]
    assert same_bits(predictor(x), np.ascontiguousarray(before))
    again = pickle.loads(pickle.dumps(predictor))
    assert same_bits(again(x), predictor(x))
    assert repr(again) == repr(predictor)
    assert "6-9-3" in repr(predictor)


def test_threads_may_ask_at_the_same_time():
    net = bpnet.Network([6, 50, 3], seed=1)
    predictor, x, wrong = net.predictor(), inputs(3000, "d"), []
    wanted = predictor(x)

    def ask():
        for _ in range(20):
            if not same_bits(predictor(x), wanted):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 1 <= len(predictor._free) <= 4


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu", "identity"])
def test_a_nan_is_refused_and_said_where(hidden):
    predictor = bpnet.MLP([6, 9, 3], hidden=hidden, seed=1).predictor()
    x = inputs(200, "d")
    x[150, 2] = np.nan
    for given in (x, np.asfortranarray(x)):
        with pytest.raises(
            ValueError, match=r"^examples must be finite in float64, got nan in row 150"
        ):
            predictor(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 5)), r"^examples has shape \(4, 5\), expected \(n, 6\)"),
        (np.zeros(6), r"^examples has shape \(6,\), expected \(n, 6\): use examples.reshape"),
        (None, "^examples must"),
        ([["a"] * 6], "^examples"),
    ],
)
def test_wrong_inputs_are_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        bpnet.Network([6, 3]).predictor()(given)


def test_a_wrong_number_of_threads_and_wrong_parameters_are_refused(net):
    with pytest.raises(ValueError, match=r"^n_threads must be at least 1, got 0"):
        net.predictor(0)
    net.biases[0] = np.zeros((4, 1))
    with pytest.raises(ValueError, match="biases"):
        net.predictor()


@pytest.mark.parametrize("cls", [bpnet.Network, bpnet.network2.Network])
def test_what_a_script_answers_itself_has_no_predictor(cls):
    class Own(cls):
        def feedforward(self, a):
            return a

    message = "^a predictor answers by bpnet's own feedforward, got the script's"
    with pytest.raises(ValueError, match=message):
        Own([6, 3]).predictor()
