"""The reference program: a fully connected network (784-50-10) that learns MNIST in one epoch to about 93%.

Read in this order: hyperparameters, device, model, train, data, cli. `source`, `idx` and `download` are where the
images come from; `checkpoint` keeps a training, `output` prints, `interruption` and `__main__` end in order.
"""

__version__ = "0.1.0"
