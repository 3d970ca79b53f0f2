"""What scaling costs and how well it does: on a trace, simulated, and from zero, on the cluster."""
