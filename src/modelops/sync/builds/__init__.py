"""Builds: from what was observed of a ModelBuild to its Job and its status (pure)."""
