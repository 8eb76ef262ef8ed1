"""Vault or OpenBao as resources: secrets engines, policies, auth methods, key-value secrets. One kind per file."""
