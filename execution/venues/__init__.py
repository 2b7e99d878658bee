"""Adapters of `execution.venue`."""
