"""How many replicas a model needs: the decision, as a pure function of what was read."""
