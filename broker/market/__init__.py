"""The exchange's days and hours, and what can be traded there.

May import the domain.
"""
