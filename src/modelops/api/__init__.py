"""The kinds as types, their conditions, and the CRDs generated from them (pure)."""
