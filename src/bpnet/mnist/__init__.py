"""MNIST and data sets like it: what files are made of, and where MNIST is downloaded."""
