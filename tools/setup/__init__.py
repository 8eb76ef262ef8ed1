"""Set-up of a machine for the control plane: the engine's command line, system packages, what is there and what is not."""
