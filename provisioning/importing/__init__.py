"""Taking over what runs: reading a live swarm, and making it an organization's without changing it."""
