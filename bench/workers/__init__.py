"""Where processes are started: each in a group of its own, each answer with a time limit."""
