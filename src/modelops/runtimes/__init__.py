"""The engines as data: what each serves and how its container is run (pure)."""
