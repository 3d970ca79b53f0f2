"""The code in a builder's container: makes an artifact once, measures it, and says so."""
