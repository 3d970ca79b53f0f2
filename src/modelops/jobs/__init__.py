"""Jobs: what takes longer than a request, the queue that holds it, and who does it."""
