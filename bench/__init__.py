"""The benchmark suite: what is measured, how, what was seen, what it means, how it is shown."""
