"""The order book: orders on their walk to the exchange, resting and matched.

May import `broker.paper.accounts`, `orders` and `base`.
"""
