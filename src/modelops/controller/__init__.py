"""The operator's shell: watch, queue, observe, converge, report (I/O)."""
