"""The command line: `tradeactors` and its commands.

May import everything; nothing imports it.
"""
