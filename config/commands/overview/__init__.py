"""What an operator sees of a running deployment: `status`, `top`, `why` and `logs` (row P1).

Read from PostgreSQL and Redis, never from Ray: it must be seen while Ray's head is down.
"""
