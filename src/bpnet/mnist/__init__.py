"""MNIST and data sets like it: their files, MNIST's download, and a sample of its digits."""
