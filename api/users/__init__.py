"""Users: registration, login, tokens, and the end of a user.

May import `api.base`, persistence and config. Other rooms import `dependencies` and `tokens` of it.
"""
