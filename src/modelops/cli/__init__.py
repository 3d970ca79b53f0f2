"""The command line: what a model becomes, and why one is not ready."""
