"""Making it real, and proving it: Pulumi program, Swarm provider, plans and runs, secrets, verify."""
