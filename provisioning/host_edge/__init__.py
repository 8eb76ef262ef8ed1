"""The host's edge, made real: who is behind it, whose turn it is to change it, and the Docker objects it is made of (ADR 0011)."""
