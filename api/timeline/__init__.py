"""A strategy's timeline: what happened to it, leg by leg, in words for people.

May import `api.base`, the services of `api.strategies`, persistence and the domain.
"""
