"""How long a stream of prices may be silent before it is taken for dead."""

from datetime import timedelta

SILENCE_LIMIT = timedelta(seconds=5)
"""Kite sends a heartbeat every second or two; a stream that is silent for longer is dead (kite.md §5.4)."""
