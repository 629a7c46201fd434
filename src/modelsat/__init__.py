"""A learned router for LLMs."""
