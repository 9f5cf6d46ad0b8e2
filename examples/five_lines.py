"""The tutorial's five lines, and what the network makes of one digit.

pip install bpnet
python examples/five_lines.py
"""

from bpnet import mnist_loader, network, pictures

training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
net = network.Network([784, 30, 10])
net.SGD(training_data, 30, 10, 3.0, test_data=test_data)

x, label = test_data[0]  # a column of 784 pixels, and what it shows
print(pictures.drawing(x.reshape(28, 28)))
for digit, activation in enumerate(net.feedforward(x).ravel()):
    print(f"{digit}  {activation:.3f}  {'#' * round(50 * activation)}")
print(f"a {net.feedforward(x).argmax()}; it is a {label}")
