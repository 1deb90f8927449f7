"""The rules of trading, pure: states, events, decisions, orders and prices.

Imports the standard library only. Time enters with an event or as an argument.
"""
