"""Orders and positions as the broker reports them, and what may be concluded from them.

May import the values at the root of the domain, and nothing else.
"""
