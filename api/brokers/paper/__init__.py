"""The paper exchange with one tap: each user has an account of his own there, without any keys to type in.

May import what `api.brokers` may, and its service.
"""
