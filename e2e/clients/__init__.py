"""The official OpenAI clients, doing the same things in each language."""
