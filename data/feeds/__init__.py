"""Adapters of `data.feed`: recorded, synthetic and live markets. Only `sextant` imports them."""
