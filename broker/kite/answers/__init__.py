"""What Kite's answers mean: statuses, rows, texts and exceptions become values of the domain.

May import the domain; the rest of `broker.kite` builds on it.
"""
