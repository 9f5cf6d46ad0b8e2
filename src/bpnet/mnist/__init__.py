"""MNIST: what its files are made of, and where they are downloaded from."""
