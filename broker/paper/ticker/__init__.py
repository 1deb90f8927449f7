"""The WebSocket of ticks and order updates, in Kite's binary form.

May import the book's, the market's and the faults' rooms.
"""
