"""Capability instruction tuning: data, sampling, losses, stages and the trainer (extra ``train``)."""
