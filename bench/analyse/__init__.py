"""What it means: statistics, speed-ups and comparisons derived from raw samples. Never imports torch."""
