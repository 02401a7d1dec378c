"""The ladder: the same training, one change a step, from the tutorial's loop to the roofline bound."""
