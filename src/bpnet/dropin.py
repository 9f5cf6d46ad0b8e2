"""Register bpnet's modules under the book's names: an old script needs only this import.

    import bpnet.dropin
    import mnist_loader, network, network2      # are bpnet's from here on

Old pickles of ``network.Network`` and ``network2.Network`` load, too.
"""

import sys

from bpnet import mnist_loader, network, network2

sys.modules["network"] = network
sys.modules["network2"] = network2
sys.modules["mnist_loader"] = mnist_loader
