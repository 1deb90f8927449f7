"""Execution: places orders, follows them, watches accounts and guards stop-losses, one process for many accounts.

May import `actors.prices`, the ports and the domain. The shell stands above its rooms; of those, `account` is the
lowest.
"""
