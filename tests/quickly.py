"""What a test that is to be quick does less often than a run."""

from bench.measure import breakdown


def take_apart_once(monkeypatch):
    """What a step is made of is looked at once."""
    for name in ("FEWEST_TURNS", "MOST_TURNS", "PROFILED_BLOCKS", "MOST_PROFILED"):
        monkeypatch.setattr(breakdown, name, 1)
