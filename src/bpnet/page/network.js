// The network's arithmetic: the book's feedforward, a layer after the other.
"use strict";

// Return a network of what page.write stored; weights[l] has rows of sizes[l], as the book's.
function readNetwork(stored) {
  const bytes = Uint8Array.from(atob(stored.parameters), (c) => c.charCodeAt(0));
  const values = new Float32Array(bytes.buffer); // little-endian, as every browser's machine is
  const net = { ...stored, biases: [], weights: [] };
  let at = 0;
  for (let l = 0; l + 1 < net.sizes.length; l++) {
    net.biases.push(values.subarray(at, (at += net.sizes[l + 1])));
    net.weights.push(values.subarray(at, (at += net.sizes[l] * net.sizes[l + 1])));
  }
  return net;
}

const ACTIVATIONS = {
  sigmoid: (z) => z.map((value) => 1 / (1 + Math.exp(-value))),
  tanh: (z) => z.map(Math.tanh),
  relu: (z) => z.map((value) => Math.max(0, value)),
  identity: (z) => z,
  softmax: (z) => {
    const highest = z.reduce((a, b) => Math.max(a, b));
    const powers = z.map((value) => Math.exp(value - highest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  },
};

// Return the name of the activation of layer l, the first after the input being 1.
function activationOf(net, l) {
  return l === net.sizes.length - 1 ? net.output : net.hidden;
}

// Return the weighted inputs and activations of every layer: z[l] and a[l], a[0] being x.
function feedforward(net, x) {
  const z = [null],
    a = [Float64Array.from(x)];
  for (let l = 1; l < net.sizes.length; l++) {
    z.push(weightedInputs(net.weights[l - 1], net.biases[l - 1], a[l - 1]));
    a.push(ACTIVATIONS[activationOf(net, l)](z[l]));
  }
  return { z, a };
}

// Return w a + b in doubles.
function weightedInputs(w, b, a) {
  const n = a.length;
  return Float64Array.from(b, (bias, j) => {
    let sum = bias;
    for (let k = 0; k < n; k++) sum += w[j * n + k] * a[k];
    return sum;
  });
}
