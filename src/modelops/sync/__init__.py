"""From what was observed to what shall be: plan, manifests, status, one sentence (pure)."""
