"""The native Pulumi provider `sprocket`: Swarm objects as resources."""
