"""The first thing a newcomer runs: a tiny model served by Kubernetes, and a chat with it."""
