"""Migration 0020 on a database that is in use: each strategy keeps its rupees, and one without a stop is refused."""

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from tests.integration.persistence.database.new_database import database_of_before
from tests.integration.persistence.database.test_log_partitions import OLD_ROWS

BEFORE, REVISION = "0019", "0020"
LEVELS = text("SELECT id, stop_loss_paise FROM strategies ORDER BY id")
SHARE = "UPDATE {table} SET stop_share = 200, stop_loss_paise = 0"


def test_levels_stay_and_exactly_one_stop_is_kept(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        command.upgrade(config, BEFORE)
        before = connection.execute(LEVELS).all()
        command.upgrade(config, REVISION)
        connection.commit()
        for wrong in ("stop_loss_paise = 0", "stop_share = 200", "stop_share = 10000, stop_loss_paise = 0"):
            with pytest.raises(IntegrityError):
                connection.execute(text("UPDATE strategies SET " + wrong))  # noqa: S608 - three texts above
            connection.rollback()
        connection.execute(text(SHARE.format(table="strategies")))
        connection.execute(text(SHARE.format(table="runs")))
        connection.rollback()
        command.downgrade(config, BEFORE)
        assert connection.execute(LEVELS).all() == before
        command.upgrade(config, REVISION)
