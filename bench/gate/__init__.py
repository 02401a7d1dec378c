"""Whether to fail: exact counts, paired timing and accuracy of a change against a reference, and their error rates."""
