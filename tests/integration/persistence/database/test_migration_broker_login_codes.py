"""Migration 0015 on a database that is in use: what was there stays, and codes go with the connection they are for."""

from alembic import command
from sqlalchemy import Connection, Engine, text

from tests.integration.persistence.database.new_database import database_of_before
from tests.integration.persistence.database.test_log_partitions import OLD_ROWS, contents

BEFORE, REVISION = "0013", "0015"
CODES = """
INSERT INTO broker_login_codes (user_id, broker_account_id, kind, code_hash, created_at, expires_at)
SELECT user_id, id, kind, sha256((id || kind)::bytea), now(), now() + interval '1 hour'
FROM broker_accounts, (VALUES ('state'), ('link')) AS kinds (kind)
"""


def codes(connection: Connection) -> int:
    """How many there are."""
    return int(connection.scalar(text("SELECT count(*) FROM broker_login_codes")) or 0)


def test_codes_are_added_to_what_was_there_and_go_with_their_connection(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        command.upgrade(config, BEFORE)
        before = contents(connection)
        command.upgrade(config, REVISION)
        connection.execute(text(CODES))
        assert codes(connection) == 4
        connection.execute(text("UPDATE runs SET ended_at = now()"))
        connection.execute(text("DELETE FROM broker_accounts WHERE id = (SELECT min(id) FROM broker_accounts)"))
        assert codes(connection) == 2, "those of the other connection"
        connection.rollback()
        connection.execute(text(CODES))
        connection.commit()
        command.downgrade(config, BEFORE)
        assert contents(connection) == before
        command.upgrade(config, REVISION)
        assert codes(connection) == 0
