"""One strategy: its specification, its state, what can happen to it and what it decides then.

May import the rest of the domain, and nothing else.
"""
