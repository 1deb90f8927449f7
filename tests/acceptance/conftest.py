"""Traders for the acceptance tests."""

import pytest

from tests.kit.trader import Deployment, Trader


@pytest.fixture
def trader(deployment: Deployment) -> Trader:
    """A new trader, registered and connected to the paper exchange."""
    return deployment.trader()
