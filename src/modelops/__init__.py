"""AI models as Kubernetes objects."""
