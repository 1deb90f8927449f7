"""Where an actor may begin while nodes are being emptied."""

from ray._private.label_utils import validate_fallback_strategy, validate_label_selector

from actors.runtime.node_marks import placement

NODES = ["f" * 56, "0" * 56]


def test_without_a_mark_an_actor_begins_anywhere() -> None:
    assert placement(()) == {}


def test_it_begins_on_no_marked_node_but_on_one_rather_than_nowhere() -> None:
    options = placement(NODES)
    assert options["label_selector"] == {"ray.io/node-id": f"!in({NODES[1]},{NODES[0]})"}
    assert validate_label_selector(options["label_selector"]) is None
    assert validate_fallback_strategy(options["fallback_strategy"]) is None
    assert placement(NODES[:1])["label_selector"] == {"ray.io/node-id": f"!in({NODES[0]})"}
