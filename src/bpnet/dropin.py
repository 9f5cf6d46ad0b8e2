"""Register bpnet's modules under the book's names: an old script needs only this import.

    import bpnet.dropin
    import mnist_loader, network      # are bpnet's from here on

Old pickles of ``network.Network`` load, too.
"""

import sys

from bpnet import mnist_loader, network

sys.modules["network"] = network
sys.modules["mnist_loader"] = mnist_loader
