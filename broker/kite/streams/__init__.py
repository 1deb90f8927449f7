"""Kite's WebSockets: ticks and order updates.

May import the rest of `broker.kite`.
"""
