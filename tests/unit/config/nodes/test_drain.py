"""What `tradeactors drain` says of a node that can be stopped."""

from dataclasses import replace

from actors.runtime.driver.cluster_nodes import Node
from config.commands.nodes.drain import what_follows

NODE = Node("a" * 56, "10.0.0.12", "worker-12")
OTHER = Node("b" * 56, "10.0.0.13", "worker-13")
GATEWAY = "No other node is an order gateway: while this one is away, no order leaves."


def test_a_node_is_called_by_its_address_its_host_or_how_its_id_begins() -> None:
    assert [NODE.is_called(name) for name in ("10.0.0.12", "worker-12", "a" * 6)] == [True] * 3
    assert [NODE.is_called(name) for name in ("10.0.0.1", "worker", "a" * 5, "")] == [False] * 4


def test_what_begins_elsewhere_by_itself_is_named() -> None:
    assert list(what_follows(NODE, [OTHER], [])) == []
    (said,) = what_follows(NODE, [OTHER], ["feed:0", "ledger:0"])
    assert said == "When it is, these begin elsewhere by themselves: feed:0, ledger:0."


def test_of_the_only_gateway_it_is_said_that_no_order_leaves_without_it() -> None:
    alone, still = replace(NODE, gateway=True), ["execution:0", "ledger:0"]
    assert list(what_follows(alone, [OTHER], still)) == [
        "When it is, these begin elsewhere by themselves: ledger:0.",
        GATEWAY,
    ]
    assert list(what_follows(alone, [OTHER], still[:1])) == [GATEWAY]
    (said,) = what_follows(alone, [replace(OTHER, gateway=True)], still)
    assert "execution:0" in said


def test_of_the_heads_node_it_is_said_what_stops_without_it() -> None:
    (said,) = what_follows(replace(NODE, head=True), [OTHER], [])
    assert said.startswith("Ray's head is there")
