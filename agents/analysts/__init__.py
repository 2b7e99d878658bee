"""Analysts: deterministic readings of a snapshot, before any model is asked."""
