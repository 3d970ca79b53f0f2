"""The command line: what a model becomes, and why one is not ready."""

from modelops.cli.app import main
from modelops.cli.plugin import main as plugin

__all__ = ["main", "plugin"]
