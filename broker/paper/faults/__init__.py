"""Faults on demand: refused, lost, late and spoilt answers.

May import `broker.paper.book`, `orders` and `base`.
"""
