"""How ticks travel: the shell around the broker's feed, and the router of one symbol.

May import the ports and the domain.
"""
