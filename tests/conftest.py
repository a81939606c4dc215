"""The environment of every test: no AWS account, no network but loopback, an Airflow home of its own.

Airflow reads its configuration when it is first imported, so the environment is set here, at import, before any test
module is collected. Every pytest-xdist worker is a process of its own and gets a home and a database of its own.
"""

from __future__ import annotations

import atexit
import copy
import functools
import gc
import inspect
import operator
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from botocore import client, handlers, hooks, parsers, regions, session
from hypothesis import HealthCheck, settings

import airflow_provider_omics

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from airflow.providers.common.compat.sdk import DAG
    from botocore.loaders import Loader

ROOT = Path(__file__).parent.parent
EXAMPLE_DAGS = ROOT / "example_dags"

if str(ROOT) not in sys.path:
    # For `tests` itself. Last, so that an installed wheel is what is tested, and not the tree beside it.
    sys.path.append(str(ROOT))


def _isolate_environment() -> Path:
    for name in list(os.environ):
        if name.startswith(("AWS_", "AIRFLOW_")):  # credentials, endpoints, settings of whoever runs the tests
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="omics-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "dags").mkdir()
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__UNIT_TEST_MODE="False",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
        AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY="True",  # Airflow 2.11 warns of the old unit
        AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(home / "logs"),
        AWS_CONFIG_FILE=str(home / "no-aws-config"),
        AWS_SHARED_CREDENTIALS_FILE=str(home / "no-aws-credentials"),
        AWS_EC2_METADATA_DISABLED="true",
        HYPOTHESIS_STORAGE_DIRECTORY=str(ROOT / ".hypothesis"),  # else below the folder that `_elsewhere` changes to
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
    )
    return home


_HOME = _isolate_environment()


def _share_data_files() -> None:
    """Let all sessions of botocore share what they have read of its data files.

    A test makes several clients, and each would read and parse the same files for 0.05 s: a fifth of the suite's time.
    """
    create_loader = functools.cache(session.create_loader)

    def shared_loader(search_path: str | None = None) -> Loader:
        loader = create_loader(search_path)
        loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # every session of boto3 adds its own again
        return loader

    session.create_loader = shared_loader  # the name that its sessions call


def _share_what_clients_derive() -> None:
    """Let all clients of botocore share what each would work out again from the same data: half of the suite's time.

    All of it is a function of its input: names of events, whether a handler takes keywords, rules of endpoints.
    """
    names: dict[str, str] = {}
    make_aliaser = hooks.EventAliaser.__init__

    def aliaser(self: Any, event_emitter: Any, event_aliases: Any = None) -> None:
        make_aliaser(self, event_emitter, event_aliases)
        if self._event_aliases == hooks.EVENT_ALIASES:  # each client has a copy
            self._alias_name_cache = names

    hooks.EventAliaser.__init__ = aliaser

    look_closely = hooks.accepts_kwargs

    def accepts_kwargs(handler: Any) -> Any:
        function = getattr(handler, "__func__", handler)
        if isinstance(function, FunctionType):
            return bool(function.__code__.co_flags & inspect.CO_VARKEYWORDS)
        return look_closely(handler)

    hooks.accepts_kwargs = accepts_kwargs

    make_provider = regions.EndpointProvider
    providers: dict[Any, Any] = {}

    def endpoint_provider(ruleset_data: Any, partition_data: Any, **settings: Any) -> Any:
        # The shared loader hands out the same objects, and the entry keeps them alive: an id means one of them.
        key = (id(ruleset_data), id(partition_data), repr(settings))
        if key not in providers:
            made = make_provider(ruleset_data=ruleset_data, partition_data=partition_data, **settings)
            providers[key] = (made, ruleset_data, partition_data)
        return providers[key][0]

    regions.EndpointProvider = endpoint_provider


def _share_classes_of_clients() -> None:
    """Let the clients of a service share its model and their class, whose methods were made anew for each of them."""
    creator = client.ClientCreator
    load, make = creator._load_service_model, creator._create_client_class
    models: dict[int, Any] = {}
    classes: dict[tuple[Any, int], type] = {}

    def load_service_model(self: Any, *service: Any) -> Any:
        model = load(self, *service)
        # The loaders are shared and the entry keeps the data alive: an id means one file.
        return models.setdefault(id(model._service_description), model)

    def create_client_class(self: Any, service_name: str, service_model: Any) -> type:
        # What the handlers of a session add, boto3's own do for all: one of botocore's sessions has fewer of them.
        event = f"creating-client-class.{service_model.service_id.hyphenize()}"
        key = service_model, len(self._event_emitter._emitter._handlers.prefix_search(event))
        if key not in classes:
            classes[key] = make(self, service_name, service_model)
        return classes[key]

    creator._load_service_model, creator._create_client_class = load_service_model, create_client_class


def _share_handlers() -> None:
    """Let all emitters of botocore share their handlers until one registers another, and sessions those of the start.

    A session registers 130 handlers, and each client copies the tree of them: half of what the two took. Here a change
    makes the nodes on its way anew, so that a copy is the same tree.
    """
    trie = hooks._PrefixTrie

    def append(node: dict[str, Any], parts: list[str], value: Any, section: int) -> dict[str, Any]:
        if not parts:
            values = hooks.NodeList([], [], []) if node["values"] is None else copy.copy(node["values"])
            values[section].append(value)
            return {**node, "values": values}
        first, *rest = parts
        child = node["children"].get(first) or {"chunk": first, "values": None, "children": {}}
        return {**node, "children": {**node["children"], first: append(child, rest, value, section)}}

    def append_item(self: Any, key: str, value: Any, section: int = hooks._MIDDLE) -> None:
        self._root = append(self._root, key.split("."), value, section)

    def copied(self: Any) -> Any:
        other = type(self)()
        other._root = self._root
        return other

    remove = trie.remove_item

    def remove_item(self: Any, key: str, value: Any) -> None:
        self._root = self._recursive_copy(self._root)
        remove(self, key, value)

    trie.append_item, trie.remove_item, trie.__copy__ = append_item, remove_item, copied

    register = session.Session._register_builtin_handlers
    registered: dict[tuple[Any, ...], hooks.HierarchicalEmitter] = {}

    def register_builtin_handlers(self: Any, events: Any) -> None:
        builtin = tuple(handlers.BUILTIN_HANDLERS)  # moto adds one of its own when it is loaded
        if builtin in registered:
            vars(self._original_handler).update(vars(copy.copy(registered[builtin])))
            return
        register(self, events)
        registered[builtin] = copy.copy(self._original_handler)

    session.Session._register_builtin_handlers = register_builtin_handlers


def _share_times() -> None:
    """Let all clients of botocore share the times they have read: dateutil took a tenth of a call for them.

    Emulated time stands still between two looks, so that most answers hold times that have been read before.
    """
    parsers.DEFAULT_TIMESTAMP_PARSER = functools.lru_cache(maxsize=4096, typed=True)(parsers.DEFAULT_TIMESTAMP_PARSER)


_share_data_files()
_share_times()
_share_what_clients_derive()
_share_classes_of_clients()
_share_handlers()

# What a contributor waits for tries a fifth of the examples; CI, or HYPOTHESIS_PROFILE=default, tries all of them.
# How long one example takes, or its making, says nothing on a machine that others use too.
for _profile, _examples in {"default": 100, "ci": 100, "quick": 20}.items():
    settings.register_profile(
        _profile,
        parent=settings.get_profile("ci" if _profile == "ci" else "default"),
        max_examples=_examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if "CI" in os.environ else "quick"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this environment does not have."""
    left_out = [item for item in items if not all(mark.args[0] for mark in item.iter_markers("only_where"))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped: one that never runs looks like one that passes."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped: state what holds in this environment, or mark it only_where"
    return report


def pytest_collection_finish() -> None:
    """Leave all that was imported out of later garbage collections: walking it was a tenth of an operator test."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Leave out as well what the tests of a file have loaded: data files and models, more than all that was imported.

    Between two files nothing lives that is to be collected later.
    """
    done = yield
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return done


def pytest_sessionfinish() -> None:
    """Leave all out as well of the collections at the very end, when pytest looks for errors in finalizers."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in which folders of tests the time has gone, set-up included; processes side by side count each."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for report in (each for kind in terminalreporter.stats.values() for each in kind):
        if isinstance(report, pytest.TestReport):
            folder = "/".join(report.nodeid.partition("::")[0].split("/")[:-1]) or "."
            seconds[folder] += report.duration
            tests[folder] += report.when == "call"
    if len(seconds) > 1:
        terminalreporter.section("where the time went")
        for folder, spent in sorted(seconds.items(), key=operator.itemgetter(1), reverse=True):
            terminalreporter.write_line(f"{spent:7.1f} s  {tests[folder]:6,} tests  {folder}")


def pytest_report_header() -> str:
    """Tell what is tested: an installed wheel, or the tree."""
    return f"airflow_provider_omics: {airflow_provider_omics.__file__}"


@dataclass(frozen=True)
class DagOutcome:
    """What a DAG run left behind.

    :param state: of the DAG run: ``success`` or ``failed``.
    :param task_states: by task id; for a mapped task by ``task_id[map_index]``.
    :param xcoms: by the same names, then by key; what the task pushed or returned.
    """

    state: str
    task_states: dict[str, str]
    xcoms: dict[str, dict[str, Any]]


class RunDag(Protocol):
    """Type of the fixture ``run_dag``."""

    def __call__(self, dag: DAG | str | Path, *, conf: dict[str, Any] | None = None) -> DagOutcome: ...


@pytest.fixture(scope="session", autouse=True)
def _elsewhere() -> Iterator[None]:
    """Leave the tree: ``python -m`` and ``-c`` put the current folder first, and children are to import the wheel."""
    before = Path.cwd()
    os.chdir(_HOME)
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Airflow's home of this test process: a temporary folder, empty but for ``dags``."""
    return _HOME


@pytest.fixture(scope="session")
def airflow_db(airflow_home: Path) -> Path:
    """A migrated SQLite database in the home of this test process."""
    from airflow.utils import db

    from tests.execution_api import make_cheaper

    make_cheaper()
    db.initdb()
    return airflow_home / "airflow.db"


@pytest.fixture
def run_dag(airflow_db: Path) -> RunDag:
    """Run a DAG to its end in this process with ``dag.test()``; triggers run inline.

    Takes a DAG made in the test, or the name of a file in ``example_dags``, or the path of a DAG file with one DAG.
    """

    def run(dag: DAG | str | Path, *, conf: dict[str, Any] | None = None) -> DagOutcome:
        if isinstance(dag, (str, Path)):
            dag = _load(EXAMPLE_DAGS / dag)
        _publish(dag)
        return _outcome(dag.test(run_conf=conf))

    return run


def _load(path: Path) -> DAG:
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # the same class where Airflow 2 has it
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]  # noqa: TID251

    bag = DagBag(path)
    assert not bag.import_errors, bag.import_errors
    dag: DAG
    (dag,) = bag.dags.values()
    return dag


def _publish(dag: DAG) -> None:
    """Write the DAG to the database, without which Airflow 3 creates no run of it.

    ``dag.test()`` does this for the DAG files of its bundles only; then it finds this one already there.
    """
    bundle: dict[str, Any] = {"bundle_path": _HOME / "dags", "bundle_name": "dags-folder"}
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:
        try:  # the same where Airflow 3.1 has it, whose bag belongs to no bundle
            from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]  # noqa: TID251
        except ImportError:  # Airflow 2 and 3.0 run what they are given
            return
        bundle = {}
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(os.devnull, collect_dags=False, **bundle)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def _outcome(run: Any) -> DagOutcome:
    from airflow.models import xcom  # noqa: TID251  (tasks read XComs by the SDK, this reads the database)
    from airflow.utils.session import create_session
    from sqlalchemy import select

    xcoms: dict[str, dict[str, Any]] = {}
    with create_session() as session:
        model: Any
        value_of: Callable[[Any], Any]
        if hasattr(xcom, "XComModel"):
            model, value_of = xcom.XComModel, xcom.XComModel.deserialize_value
        else:  # Airflow 2 turns the stored value into an object while it loads the row
            model, value_of = xcom.XCom, operator.attrgetter("value")
        for row in session.scalars(select(model).where(model.dag_id == run.dag_id, model.run_id == run.run_id)):
            xcoms.setdefault(_name(row), {})[row.key] = value_of(row)
    return DagOutcome(
        state=str(run.state),
        task_states={_name(task): str(task.state) for task in run.get_task_instances()},
        xcoms=xcoms,
    )


def _name(row: Any) -> str:
    return row.task_id if row.map_index < 0 else f"{row.task_id}[{row.map_index}]"
