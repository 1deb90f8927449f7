"""Accounts and what is kept of them: money, portfolio, journal, and the judgement on their requests.

May import `broker.paper.orders` and `base`.
"""
