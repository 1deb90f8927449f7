"""One order from its intent to its end: placed, followed, cancelled, chased.

May import `actors.execution.account`, the ports and the domain.
"""
