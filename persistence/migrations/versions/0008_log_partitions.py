"""The append-only logs in partitions by month, so that old months can be removed without deleting a line.

`order_logs` by `recorded_at`, `audit_log` by `at`, both instants that the database sets; months are those of UTC.
Lines that are there move along under their ids. `make_log_partition` makes a month, and is called ahead of time; lines
of a month that has none go to the default partition, and move when it is made.

Revision ID: 0008
Revises: 0006
Create Date: 2026-12-12
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLE = "tradeactors_tenant"
OWN_ROW = "user_id = nullif(current_setting('tradeactors.user_id', true), '')::bigint"
MONTHS_AHEAD = 3

KEYS = {"order_logs": "recorded_at", "audit_log": "at"}
"""By log: the instant by which its lines are kept apart."""

PRIVILEGES = {"order_logs": "SELECT", "audit_log": "SELECT, INSERT"}

FUNCTIONS = ("make_log_partition(text, timestamp)", "guard_log_partition(text)")

INDEXES = {
    "order_logs": {
        "order_logs_run_id_idx": ["run_id"],
        "order_logs_user_id_strategy_id_id_idx": ["user_id", "strategy_id", "id"],
    },
    "audit_log": {"audit_log_user_id_id_idx": ["user_id", "id"]},
}

FOREIGN_KEYS = {
    "order_logs": (
        "order_logs_run_id_strategy_id_user_id_fkey",
        "runs",
        ["run_id", "strategy_id", "user_id"],
        ["id", "strategy_id", "user_id"],
    ),
    "audit_log": ("audit_log_user_id_fkey", "users", ["user_id"], ["id"]),
}


def upgrade() -> None:
    """Put a partitioned table in the place of each log, with all of its lines."""
    op.execute(GUARD_PARTITION)
    op.execute(MAKE_PARTITION)
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    for table, key in KEYS.items():
        _replace(table, f"PARTITION BY RANGE ({key})", f"id, {key}")
        op.execute(f"CREATE TABLE {table}_default (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        op.execute(f"SELECT guard_log_partition('{table}_default')")
        op.execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_default DEFAULT")
        _make_months(table)
        _take_lines_over(table)


def downgrade() -> None:
    """One table for each log again, with all of its lines."""
    for table in KEYS:
        _replace(table, "", "id")
        _take_lines_over(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")


def _replace(table: str, partitioning: str, primary_key: str) -> None:
    """Move the table out of the way, to `{table}_before`, and make an empty one of its name."""
    op.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
    op.execute(f"ALTER INDEX {table}_pkey RENAME TO {table}_before_pkey")
    for index in INDEXES[table]:
        op.execute(f"ALTER INDEX {index} RENAME TO {index}_before")
    op.execute(
        f"CREATE TABLE {table} (LIKE {table}_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY) "
        + partitioning
    )
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({primary_key})")
    for index, columns in INDEXES[table].items():
        op.create_index(index, table, columns)
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT {PRIVILEGES[table]} ON {table} TO {ROLE}")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} TO {ROLE} USING ({OWN_ROW}) WITH CHECK ({OWN_ROW})")


def _make_months(table: str) -> None:
    """Those that the lines are of, and some ahead."""
    instant = f"{KEYS[table]} AT TIME ZONE 'UTC'"
    op.execute(
        f"SELECT make_log_partition('{table}', month) FROM (SELECT generate_series("  # noqa: S608 - of the schema
        f"  date_trunc('month', least((SELECT min({instant}) FROM {table}_before), now() AT TIME ZONE 'UTC')),"
        f"  date_trunc('month', now() AT TIME ZONE 'UTC') + interval '{MONTHS_AHEAD} months',"
        f"  interval '1 month') AS month) AS months"
    )


def _take_lines_over(table: str) -> None:
    columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(f"{table}_before"))
    op.execute(
        f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table}_before ORDER BY id"  # noqa: S608
    )
    # ids go on where they were: an id that was given and rolled back is not given again either
    op.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(1, "  # noqa: S608
        f"(SELECT last_value FROM pg_sequences WHERE schemaname = current_schema() "
        f"AND format('%I.%I', schemaname, sequencename) = pg_get_serial_sequence('{table}_before', 'id'))))"
    )
    op.execute(f"DROP TABLE {table}_before")
    op.create_foreign_key(FOREIGN_KEYS[table][0], table, *FOREIGN_KEYS[table][1:])


GUARD_PARTITION = """
CREATE FUNCTION guard_log_partition(partition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- the trigger of the whole log is not asked when a partition is named; and no policy means: for the owner alone
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
END
$$
"""

MAKE_PARTITION = """
CREATE FUNCTION make_log_partition(log text, month timestamp) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name CONSTANT text := log || to_char(month, '"_"YYYY"_"MM');
    rest CONSTANT text := log || '_default';
    first CONSTANT timestamptz := date_trunc('month', month) AT TIME ZONE 'UTC';
    beyond CONSTANT timestamptz := (date_trunc('month', month) + interval '1 month') AT TIME ZONE 'UTC';
    key text;
    strays boolean;
BEGIN
    IF to_regclass(format('%I', name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    SELECT attname INTO STRICT key FROM pg_partitioned_table
        JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
        WHERE partrelid = format('%I', log)::regclass;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, log);
    PERFORM guard_log_partition(name);
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', rest, key, key)
        INTO strays USING first, beyond;
    IF strays THEN -- the default partition gives its lines back to the log, and an empty one takes its place
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', log, rest);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', rest, rest || '_before');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', rest, log);
        PERFORM guard_log_partition(rest);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', log, rest);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', log, name, first, beyond);
    IF strays THEN
        EXECUTE format('INSERT INTO %I OVERRIDING SYSTEM VALUE SELECT * FROM %I', log, rest || '_before');
        EXECUTE format('DROP TABLE %I', rest || '_before');
    END IF;
    RETURN true;
END
$$
"""
