"""`tradeactors drain`: empty one node of the cluster, so that it can be stopped without a gap (row J1)."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from config.commands.base.deployment import DataDir

if TYPE_CHECKING:
    from actors.runtime.driver.cluster_nodes import Node
    from actors.runtime.driver.drain import Drained
    from api.overview.facts import Facts
    from config.settings import Settings

NodeName = Annotated[
    str, typer.Argument(metavar="NODE", help="Its address, its host's name, or how its id in Ray begins.")
]
Back = Annotated[bool, typer.Option("--back", help="Let actors begin there again; nothing moves back.")]
Within = Annotated[
    int, typer.Option("--within", min=0, metavar="SECONDS", help="How long to wait for what cannot move at once.")
]


def drain(node: NodeName, back: Back = False, within: Within = 300, data_dir: DataDir = None) -> None:
    """Move what runs on a node to other nodes, one by one, while both guards watch the rest; force nothing.

    Exit code 0: the node can be stopped. 1: something had to stay, and why is said. 2: it cannot be known.
    """
    from config.commands.overview.status import what_cannot_be_told

    with what_cannot_be_told():
        settings = _settings(data_dir)
        with _answering_ray(settings):
            if back:
                _take_back(_find(node)[0])
                return
            with _alone(node):
                chosen, others = _find(node)
                _refuse_if_unsafe(settings, chosen, others)
                raise typer.Exit(_report(chosen, others, _drained(settings, chosen, others, within)))


def _refuse(sentence: str, exit_code: int = 1) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(exit_code)


@contextmanager
def _answering_ray(settings: "Settings") -> Iterator[None]:
    """Be a driver of the cluster; where it does not answer, say so and end with exit code 2."""
    from actors.runtime.driver import cluster

    cluster.prepare(settings)
    import ray
    from ray.exceptions import RayError

    try:
        cluster.connect(settings)
        yield
    except typer.Exit:  # a RuntimeError, too
        raise
    except (RayError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        _refuse(f"Cannot tell: Ray does not answer ({reason}). What has left a node is brought up by the API.", 2)
    finally:
        ray.shutdown()


@contextmanager
def _alone(node: str) -> Iterator[None]:
    from actors.runtime.driver.cluster_nodes import AnotherDrain, only_drain

    try:
        with only_drain(node):
            yield
    except AnotherDrain as another:
        _refuse(str(another))


def _settings(data_dir: Path | None) -> "Settings":
    from config.commands.base.deployment import require
    from config.commands.overview.status import settings_to_look

    settings = settings_to_look(data_dir)
    require(settings, "ray_address")
    return settings


def _find(name: str) -> tuple["Node", list["Node"]]:
    """The node that is meant, and those that could take what is there."""
    from actors.runtime.driver import cluster_nodes

    nodes = cluster_nodes.nodes()
    meant = [node for node in nodes if node.is_called(name)]
    if len(meant) == 1 and not meant[0].carries:
        _refuse(f"{meant[0]} carries no actors: nothing of it is to be moved.")
    if len(meant) != 1:
        what = "No node is" if not meant else "More than one node is"
        carrying = [f"  {node}" for node in nodes if node.carries]
        _refuse("\n".join([f"{what} called {name}. The nodes with actors are:", *carrying]), 2)
    return meant[0], [node for node in nodes if node.carries and not node.marked and node != meant[0]]


def _take_back(node: "Node") -> None:
    from actors.runtime import node_marks

    node_marks.unmark(node.node_id)
    typer.echo(f"Actors may begin on {node.address} again; those that have moved stay where they are.")


def _refuse_if_unsafe(settings: "Settings", node: "Node", others: Sequence["Node"]) -> None:
    """Where a strategy that has left could not go on, none is to leave."""
    if not others:
        _refuse(f"No other node could take what runs on {node}: start one first, or take the mark off one (`--back`).")
    facts = asyncio.run(_look(settings))
    if facts.database is None:
        _refuse("Cannot tell: PostgreSQL cannot be read, and a strategy that left would not be loaded elsewhere.", 2)
    if facts.mirror is None:
        _refuse("Cannot tell: Redis does not answer, and entries halt without it. Nothing was moved.", 2)
    if not any(one.name.startswith("api:") and not one.silent for one in facts.mirror.presences):
        _refuse(
            "No process of the API says that it runs. It would bring a strategy back, should this command end in the "
            "middle: start one first."
        )


async def _look(settings: "Settings") -> "Facts":
    from api.overview.looking import open_looking

    async with open_looking(settings) as looking:
        return await looking.look()


def _drained(settings: "Settings", node: "Node", others: Sequence["Node"], within_s: float) -> "Drained":
    gateways = [other.node_id for other in others if other.gateway]
    try:
        return asyncio.run(_drain(settings, node, gateways, within_s))
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. What has just left is brought up elsewhere by the API within seconds, and no actor begins on "
            f"{node.address} until `tradeactors drain {node.address} --back`.",
            err=True,
        )
        raise


async def _drain(settings: "Settings", node: "Node", gateways: Sequence[str], within_s: float) -> "Drained":
    from actors.runtime import node_marks
    from actors.runtime.driver.drain import Drained, NodeDrain
    from actors.runtime.driver.drain_parts import PartsDrain
    from actors.runtime.driver.moved_parts import MovedParts
    from actors.runtime.driver.moved_strategies import MovedStrategies
    from actors.runtime.names import Pools

    until = asyncio.get_running_loop().time() + within_s
    node_marks.mark(node.node_id)
    typer.echo(f"No actor begins on {node} from now on.")
    pools = Pools(settings.execution_actors, settings.ledger_actors, settings.brokers)
    strategies = await NodeDrain(MovedStrategies(pools, node.node_id), node.node_id, typer.echo).run(within_s)
    if not strategies.done:
        return strategies
    typer.echo(f"No strategy is on {node.address} any more.")
    left_s = until - asyncio.get_running_loop().time()
    parts = await PartsDrain(MovedParts(pools, node.node_id, gateways), typer.echo).run(max(left_s, 0.0))
    if parts.failed:
        return Drained(strategies.moved + parts.moved, parts.left, parts.failed)
    # one that has crashed elsewhere meanwhile may have begun here: Ray starts an actor again where it likes
    left_s = until - asyncio.get_running_loop().time()
    late = await NodeDrain(MovedStrategies(pools, node.node_id), node.node_id, typer.echo).run(max(left_s, 0.0))
    return Drained(strategies.moved + parts.moved + late.moved, {**parts.left, **late.left}, late.failed)


def _report(node: "Node", others: Sequence["Node"], drained: "Drained") -> int:
    from actors.runtime import node_marks
    from actors.runtime.driver.cluster_nodes import actors_on

    if drained.failed:
        typer.echo(f"Stopped: {drained.failed}", err=True)
    for name, reason in drained.left.items():
        typer.echo(f"{name} is still there: {reason}.", err=True)
    if not drained.done:
        typer.echo(f"Moved: {drained.moved}. Nothing was forced.", err=True)
        if node.node_id in node_marks.marked():
            typer.echo(
                "No actor begins there. Give the command again, or let actors begin there again: "
                f"`tradeactors drain {node.address} --back`.",
                err=True,
            )
        return 1
    typer.echo(f"{node.address} can be stopped; moved: {drained.moved}.")
    for sentence in what_follows(node, others, actors_on(node.node_id)):
        typer.echo(sentence)
    return 0


def what_follows(node: "Node", others: Sequence["Node"], still: Sequence[str]) -> Iterator[str]:
    """What those do that are `still` there when the node is stopped, and what cannot be done without it."""
    from actors.runtime.names import is_execution

    alone = node.gateway and not any(other.gateway for other in others)
    if elsewhere := [name for name in still if not (alone and is_execution(name))]:
        yield f"When it is, these begin elsewhere by themselves: {', '.join(elsewhere)}."
    if alone:
        yield "No other node is an order gateway: while this one is away, no order leaves."
    if node.head:
        yield "Ray's head is there: while it is away, no strategy starts, and none is started again."
