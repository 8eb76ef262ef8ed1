"""Docker Swarm: the client, and one resource kind per file."""
