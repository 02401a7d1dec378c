"""Where the time of one case goes: traces, hot spots, flame graphs, memory."""
