"""Checkpoints and caches on disk."""
