"""Builds the project's container images and pushes them to a registry."""
