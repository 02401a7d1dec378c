"""The ladder: the same training, one change a rung, from the tutorial's loop to the floor."""
