"""The market: where prices come from, and each instrument's tick.

May import `broker.paper.orders` and `base`.
"""
