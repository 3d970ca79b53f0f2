"""A real one-node Kubernetes cluster on a bare Debian machine, from pinned Go modules."""
