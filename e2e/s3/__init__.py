"""A real S3 server on this machine, with credentials of its own."""
