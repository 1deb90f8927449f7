"""What outlives a process: PostgreSQL is the record, Redis a mirror for reads.

May import `actors.domain` and config. journal, secrets > mirror > database > errors.
"""
