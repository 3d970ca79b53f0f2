"""The endpoint of every model: snapshot -> Envoy's configuration (pure), and its control (I/O)."""
