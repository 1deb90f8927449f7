"""One cluster of four real Ray nodes for these tests: a head, a gateway for orders, two for strategies; two APIs."""

from collections.abc import Iterator

import pytest

from tests.kit.cluster import Cluster, running_cluster
from tests.kit.trader import Deployment, Trader


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster; this process and both APIs belong to the gateway node."""
    with running_cluster() as cluster:
        for name in ("gateway", "one", "two"):  # one by one: they would take each other's ports
            cluster.start_node(name, gateway=name == "gateway")
            cluster.await_node(name)
        cluster.join("gateway")
        cluster.start_api("gateway")
        cluster.start_api("gateway")
        yield cluster


@pytest.fixture
def deployment(cluster: Cluster) -> Deployment:
    """What a test looks at the cluster with."""
    return cluster.deployment


@pytest.fixture
def trader(deployment: Deployment) -> Trader:
    """A new trader, at the first API."""
    return deployment.trader()
