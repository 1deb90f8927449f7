"""The tables of the database. What must never be true is refused by the database, not only by Python.

Money: `…_paise` columns are integers, averages and sums are NUMERIC rupees. Every instant is a timestamptz.
Tables that belong to a tenant carry its `user_id`, and composite foreign keys keep it from drifting apart from the
row above it (row K1; `ON DELETE SET NULL (column)` needs PostgreSQL 15). `order_logs` and `audit_log` are
append-only: triggers refuse UPDATE, DELETE and TRUNCATE. They are cut by months, which `tradeactors prune` may drop.

May import nothing of ours. A file for each noun; `persistence.database.tables` has all of them.
"""
