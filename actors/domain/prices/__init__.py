"""Prices: which ticks count, when a stop-loss is breached, and who gets a tick first.

May import the values at the root of the domain, and nothing else.
"""
