"""Answers Envoy's questions about contended requests: may this one pass, and when if not."""
