"""For those who run the product: health, metrics, and the sweep that recovers strategies.

May import `api.base` and persistence.
"""
