"""One order: its fields, its form, and the rules that it meets.

May import `broker.paper.base`.
"""
