"""How: the clock, warm-up and steady state, the stop rule, settings and the facts of the machine."""
