"""How much is asked of each model, over all gateway pods and engines, and what follows from it."""
