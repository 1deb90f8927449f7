"""Kite Connect, the broker: login, orders, quotes, instruments, over connections of our own.

May import `broker.market`, the ports and the domain.
"""
