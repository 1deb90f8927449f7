"""Migrations 0017 and 0018 on a database that is in use: what was there stays, and old notices are not sent."""

from alembic import command
from sqlalchemy import Engine, text

from tests.integration.persistence.database.new_database import database_of_before
from tests.integration.persistence.database.test_log_partitions import OLD_ROWS, contents

BEFORE, INBOX, CHANNELS = "0015", "0017", "0018"
NOTICES = """
INSERT INTO notifications (user_id, key, kind, text, brief, at, strategy_id)
SELECT user_id, id::text, 'panic', 'x', 'x', now(), id FROM strategies
"""
WAITING = "SELECT count(*) FROM notifications WHERE handed_over_at IS NULL"


def test_what_was_there_stays_and_old_notices_are_not_sent(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        command.upgrade(config, BEFORE)
        before = contents(connection)
        command.upgrade(config, INBOX)
        connection.execute(text(NOTICES))
        connection.commit()
        command.upgrade(config, CHANNELS)
        assert connection.scalar(text("SELECT count(*) FROM notifications")) > 0
        assert connection.scalar(text(WAITING)) == 0
        connection.execute(text(NOTICES.replace("id::text", "'later' || id")))
        assert connection.scalar(text(WAITING)) > 0
        connection.commit()
        command.downgrade(config, BEFORE)
        assert contents(connection) == before
        command.upgrade(config, CHANNELS)
