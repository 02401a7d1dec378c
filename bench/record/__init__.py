"""What was seen: the record's schema, the environment, reading and writing. Never imports torch."""
