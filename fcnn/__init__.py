"""The reference program: a fully connected network (784-50-10) that learns MNIST in one epoch to about 93%.

Read in this order: hyperparameters, device, model, train, data, __main__. `source`, `idx` and `download`
are where the images come from; `checkpoint` keeps a training, `output` prints.
"""

__version__ = "0.1.0"
