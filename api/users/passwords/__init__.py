"""Passwords: what a new one must be like, how they are hashed, and how an attempt on one is judged.

May import `api.base`, persistence and config.
"""
