"""Migration 0012 on a database that is in use: every month of the order log is indexed by what pages are sorted by."""

from alembic import command
from sqlalchemy import Connection, Engine, text

from tests.integration.persistence.database.new_database import database_of_before
from tests.integration.persistence.database.test_log_partitions import OLD_ROWS, contents

BY_PAGES = {"user_id, strategy_id, occurred_at, id", "run_id, leg, seq", "run_id, occurred_at, id"}
BEFORE = {"user_id, strategy_id, id", "run_id"}
INDEXES = """
SELECT month.relname, string_agg(columns.attname, ', ' ORDER BY columns.attnum)
FROM pg_index JOIN pg_class AS month ON month.oid = pg_index.indrelid
JOIN pg_attribute AS columns ON columns.attrelid = pg_index.indexrelid
WHERE month.relname LIKE 'order\\_logs%' AND NOT pg_index.indisprimary
GROUP BY month.relname, pg_index.indexrelid
"""


def indexes(connection: Connection) -> dict[str, set[str]]:
    """By table of the order log, as a whole and by month: the columns of each index."""
    found: dict[str, set[str]] = {}
    for table, columns in connection.execute(text(INDEXES)):
        found.setdefault(table, set()).add(columns)
    connection.commit()
    return found


def test_every_month_is_indexed_by_what_pages_are_sorted_by_and_no_line_is_lost(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        command.upgrade(config, "0011")
        before, tables = contents(connection), indexes(connection)
        assert len(tables) > 10
        assert all(columns == BEFORE for columns in tables.values())
        command.upgrade(config, "0012")
        assert indexes(connection) == dict.fromkeys(tables, BY_PAGES)
        connection.execute(text("SELECT make_log_partition('order_logs', timestamp '2031-05-01')"))
        connection.commit()
        assert indexes(connection)["order_logs_2031_05"] == BY_PAGES
        command.downgrade(config, "0011")
        assert indexes(connection) == dict.fromkeys([*tables, "order_logs_2031_05"], BEFORE)
        assert contents(connection) == before
