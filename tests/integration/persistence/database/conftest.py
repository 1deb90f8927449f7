"""What the tests of migrations share."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from tests.integration.persistence.database.new_database import new_database


@pytest.fixture
def database(postgres_url: str) -> Iterator[Engine]:
    """An empty database."""
    with new_database(postgres_url) as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()
