"""Other actors by name, and who this process is: every Ray call of the engine between actors goes through here.

A call that Ray could not complete raises `PeerUnavailable`; whether it took effect is not known, and every command is
safe to repeat. Errors of the application come through as they are.
"""

import functools
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RaySystemError, RayTaskError

from actors.ports.common import PeerUnavailable
from actors.runtime.handles import Handles, HeadSilent, PeerMissing
from actors.runtime.names import NAMESPACE


class Peers:
    """The other actors, by name; and who this one is."""

    def __init__(self) -> None:
        self._handles = Handles(_look_up)

    @property
    def own_handle(self) -> Any:
        """The handle of this actor, for those that are to call it."""
        return own_handle()

    @property
    def own_name(self) -> str:
        """The name of this actor."""
        return own_name()

    @property
    def own_node(self) -> str:
        """The Ray node that this actor runs on."""
        return own_node()

    def meet(self, name: str, handle: Any) -> None:
        """Remember the handle that a peer gave of itself: a message to one that died for good would be lost unseen."""
        self._handles.meet(name, handle)

    async def find(self, name: str) -> Any:
        """The actor's handle. Raises PeerMissing: no actor of that name exists now."""
        return await self._handles.find(name)

    async def call(self, name: str, method: str, *arguments: Any, title: str = "") -> Any:
        """Call and wait for the answer. `title`: what the call does, as the dashboard shows it.

        Titles name no strategy: Ray counts tasks by name, and its figures would grow with the strategies.

        Raises:
            PeerUnavailable: the actor died, is restarting, or does not exist.
        """
        handle = await self.find(name)
        try:
            called = getattr(handle, method)
            return await (called.options(name=title) if title else called).remote(*arguments)
        except (RayActorError, RaySystemError) as error:
            self._handles.doubt(name)
            raise PeerUnavailable(f"{name}: {type(error).__name__}") from error
        except RayTaskError as error:
            raise error.as_instanceof_cause() from error  # type: ignore[no-untyped-call]

    def tell(self, name: str, method: str, *arguments: Any, title: str = "") -> None:
        """Call without an answer. A peer that is gone loses the message."""
        options = {"num_returns": 0} | ({"name": title} if title else {})

        def deliver(handle: Any) -> None:
            try:
                getattr(handle, method).options(**options).remote(*arguments)
            except RayActorError:
                self._handles.doubt(name)

        self._handles.send(name, deliver)


def _look_up(name: str) -> Any:
    if not ray.is_initialized():  # this process has left the cluster, and a lookup would join another
        raise PeerMissing(f"{name} is not looked up any longer")
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError as error:
        raise PeerMissing(f"{name} does not exist") from error
    except GetTimeoutError as error:
        raise HeadSilent(name) from error


@functools.cache
def own_handle() -> Any:
    """The handle of the actor that this process is."""
    return ray.get_runtime_context().current_actor


@functools.cache
def own_name() -> str:
    """The name of the actor that this process is."""
    return str(ray.get_runtime_context().get_actor_name())


@functools.cache
def own_node() -> str:
    """The Ray node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


@functools.cache
def own_host() -> str:
    """The address of that node, as the other nodes know it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
