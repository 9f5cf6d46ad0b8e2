"""A network that answers over HTTP: rows of pixels, or a picture, in; JSON out.

    pip install "bpnet[image]"
    python examples/serving.py                  # asks itself, and ends
    python examples/serving.py --port 8000      # until Ctrl-C
    curl --data-binary @seven.png http://127.0.0.1:8000/

A predictor may be asked by any number of threads at a time; the server has one a request.
"""

import argparse
import http.server
import json
import threading
import urllib.error
import urllib.request

import bpnet
from bpnet import mnist_loader, pictures

MOST = 2**24  # bytes of a request


def handler(predictor):
    """Return the class that answers requests by predictor."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MOST))
            try:
                if pictures.is_picture(body):
                    outputs = predictor([pictures.digit(body).ravel()])
                else:
                    outputs = predictor(json.loads(body))
                status, answer = 200, {"labels": outputs.argmax(axis=1).tolist()}
                answer["outputs"] = outputs.round(4).tolist()
            except (ValueError, TypeError, ImportError) as error:  # one sentence
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments):
            """Say nothing of a request that was answered."""

    return Handler


def main():
    """Train, serve, and ask."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    port = parser.parse_args().port
    training, _, (X, labels) = mnist_loader.load_data()
    net = bpnet.MLP([784, 30, 10], seed=1)
    net.train(training, 3, 10, 0.5)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler(net.predictor()))
    address = f"http://127.0.0.1:{server.server_port}/"
    print(f"serving at {address}", flush=True)
    if port:
        return server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for body in (X[:5].tolist(), X[:1, :700].tolist()):
        request = urllib.request.Request(address, json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request) as answer:
                print(f"asked for {labels[:5].tolist()}: {json.load(answer)['labels']}")
        except urllib.error.HTTPError as error:
            print(f"asked for nonsense: {json.load(error)['error']}")
    server.shutdown()


if __name__ == "__main__":
    main()
