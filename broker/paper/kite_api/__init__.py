"""Kite's REST interface: the routes that a client of Kite calls.

May import the exchange and the rooms below it.
"""
