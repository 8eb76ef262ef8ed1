"""Carrying a migration out: rows, a step engine that survives crashes, and the steps with their checks and their ways back."""
