"""A simulator of engines under a trace of requests, in which the real decision code scales."""
