"""Airflow 3's execution API as ``dag.test()`` asks it, in the process of the tests, and for less.

A task of a DAG run asks it ten times and more. What it answers stays as it is; the way to it, and what it works out
again for each request or each task, took a third of the time of a DAG run. Airflow 2 has no such API.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def make_cheaper() -> None:
    """Let the API of this process, once for all, answer without detours and derive things once."""
    _remember_schemas()
    try:
        loops = _answer_in_one_step()
    except ImportError:  # Airflow 2
        return
    _run_endpoints_in(loops)
    _remember_dependencies(loops)
    _make_routes_of_the_newest_version()
    _share_adapters()


def _answer_in_one_step() -> WeakSet[asyncio.AbstractEventLoop]:
    """Let a request be one call into the loop of the API, and return the loops that have answered one.

    The bridge to it wakes the other thread for each piece of request and response: a dozen times a request. The first
    answer takes the making of all routes.
    """
    from a2wsgi import ASGIMiddleware
    from a2wsgi.asgi import StatusStringMapping, build_scope

    loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

    def answer(self: Any, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        sent: list[Any] = []
        answered = asyncio.Event()

        async def ask() -> None:
            requests = [{"type": "http.request", "body": environ["wsgi.input"].read(), "more_body": False}]

            async def receive() -> Any:
                if requests:
                    return requests.pop()
                await answered.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    answered.set()

            await self.app(build_scope(environ), receive, send)

        error = asyncio.run_coroutine_threadsafe(ask(), self.loop).exception()
        if error is not None and not answered.is_set():
            raise error  # else the client has its answer, which tells of the error
        loops.add(self.loop)
        start, *bodies = sent
        headers = [(name.strip().decode("latin1"), value.strip().decode("latin1")) for name, value in start["headers"]]
        start_response(StatusStringMapping[start["status"]], headers, None)
        return [body.get("body", b"") for body in bodies]

    middleware: Any = ASGIMiddleware
    middleware.__call__ = answer
    return loops


def _run_endpoints_in(loops: WeakSet[asyncio.AbstractEventLoop]) -> None:
    """Let the endpoints run where they are called: one request at a time has nobody to wait for it.

    Each would go to a thread of a pool, and so would the opening and the closing of its database session.
    """
    from anyio import to_thread

    threads: Any = to_thread
    in_thread = threads.run_sync

    async def run_sync(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if asyncio.get_running_loop() in loops:
            return function(*arguments)
        return await in_thread(function, *arguments, **options)

    threads.run_sync = run_sync


def _remember_dependencies(loops: WeakSet[asyncio.AbstractEventLoop]) -> None:
    """Let requests share what FastAPI reads of the signatures of their dependencies.

    It does so once for a route, but for each request to an app some of whose dependencies are overridden, as here.
    """
    from fastapi.dependencies import utils

    make: Any = utils.get_dependant

    @functools.lru_cache(maxsize=1000)
    def remembered(lists: tuple[tuple[str, tuple[str, ...]], ...], **arguments: Any) -> Any:
        return make(**arguments, **{name: list(values) for name, values in lists})

    def get_dependant(**arguments: Any) -> Any:
        if asyncio._get_running_loop() not in loops:
            return make(**arguments)
        lists = {name: tuple(value) for name, value in arguments.items() if isinstance(value, list)}
        others = {name: value for name, value in arguments.items() if name not in lists}
        return remembered(tuple(lists.items()), **others)

    utils.get_dependant = get_dependant


def _make_routes_of_the_newest_version() -> None:
    """Make routes of the newest version only, the one that tasks ask for; Airflow 3.3 has nine."""
    from cadwyn import route_generation

    transformer: Any = route_generation._EndpointTransformer
    make = transformer.__init__

    class Newest:
        """Versions whose walk ends with the first; all else is theirs."""

        def __init__(self, versions: Any) -> None:
            self._versions = versions

        def __iter__(self) -> Iterator[Any]:
            yield next(iter(self._versions))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._versions, name)

    def made(self: Any, *arguments: Any, **keywords: Any) -> None:
        make(self, *arguments, **keywords)
        self.versions = Newest(self.versions)
        self.routes_that_never_existed = []  # what only older versions have

    transformer.__init__ = made


def _share_adapters() -> None:
    """Let the rendered fields of tasks share the adapter that checks them: each field made its own for 3 ms."""
    task_runner: Any = importlib.import_module("airflow.sdk.execution_time.task_runner")
    task_runner.TypeAdapter = functools.cache(task_runner.TypeAdapter)


def _remember_schemas() -> None:
    """Let a schema of a param be checked once against the schema of schemas: each look at a param's value did."""
    from jsonschema.validators import Draft202012Validator

    validator: Any = Draft202012Validator
    check = validator.check_schema
    checked: set[str] = set()

    def check_schema(schema: Any, *arguments: Any, **keywords: Any) -> None:
        text = repr(schema)
        if text not in checked:
            check(schema, *arguments, **keywords)
            checked.add(text)

    validator.check_schema = staticmethod(check_schema)
