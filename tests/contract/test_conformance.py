"""One suite over every operator, sensor and trigger that the provider tells Airflow of."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import re
import sys
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat import sdk
from airflow.providers.common.compat.sdk import DAG, AirflowException, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_provider_omics.core import errors
from airflow_provider_omics.core.wait.stretch import Stretch
from airflow_provider_omics.get_provider_info import get_provider_info
from airflow_provider_omics.hooks.omics import OmicsHook


def _name(cls: type) -> str:
    return cls.__name__


def public_classes(kind: str, base: type) -> list[type]:
    """Give the public classes of one kind that the modules in the provider info define."""
    modules = [importlib.import_module(name) for entry in get_provider_info()[kind] for name in entry["python-modules"]]
    return [
        member
        for module in modules
        for name, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base) and member.__module__ == module.__name__ and not name.startswith("_")
    ]


OPERATORS = public_classes("operators", BaseOperator)
SENSORS = public_classes("sensors", BaseSensorOperator)
TRIGGERS = public_classes("triggers", BaseTrigger)
TASKS = OPERATORS + SENSORS

tasks = pytest.mark.parametrize("cls", TASKS, ids=_name)
triggers = pytest.mark.parametrize("cls", TRIGGERS, ids=_name)

# What Airflow's own bases take is theirs to test and to document.
_OF_AIRFLOW = {"self", "kwargs", "args", "region"}
# The base of the triggers takes these by a common name, each trigger by its own.
_OF_THE_BASE = {"resource_id", "resource_uuid"}
# As the design of the package sets them for every class.
_COMMON_DEFAULTS: dict[str, Any] = {
    "aws_conn_id": "aws_default",
    "region_name": None,
    "verify": None,
    "botocore_config": None,
    "wait_for_completion": True,
    "deferrable": None,
    "poll_interval": 30.0,
    "cancel_on_kill": True,
    "durable": True,
    "patience": timedelta(hours=3),
}


def arguments_of(cls: type) -> dict[str, inspect.Parameter]:
    """Give the constructor arguments that our classes and the Amazon provider's bases name."""
    found: dict[str, inspect.Parameter] = {}
    for owner in cls.__mro__:
        if owner in (BaseOperator, BaseSensorOperator, BaseTrigger):
            break
        init = owner.__dict__.get("__init__")
        if init is not None:
            for name, parameter in inspect.signature(init).parameters.items():
                if name not in _OF_AIRFLOW | _OF_THE_BASE:
                    found.setdefault(name, parameter)
    return found


def ours(cls: type) -> list[type]:
    return [owner for owner in cls.__mro__ if owner.__module__.startswith("airflow_provider_omics")]


def has_default(argument: inspect.Parameter) -> bool:
    return argument.default is not inspect.Parameter.empty


def required_arguments(cls: type) -> dict[str, Any]:
    return {name: f"{{{{ {name} }}}}" for name, parameter in arguments_of(cls).items() if not has_default(parameter)}


def make(cls: Any, **arguments: Any) -> Any:
    given = {**required_arguments(cls), **arguments}
    return cls(**given) if issubclass(cls, BaseTrigger) else cls(task_id="a_task", **given)


def test_every_kind_is_there() -> None:
    """The suite below runs over what users import."""
    assert {cls.__name__ for cls in TASKS + TRIGGERS} >= {
        "OmicsStartRunOperator",
        "OmicsCancelRunOperator",
        "OmicsDeleteRunOperator",
        "OmicsStartRunBatchOperator",
        "OmicsCollectBatchResultsOperator",
        "OmicsCancelRunBatchOperator",
        "OmicsDeleteRunBatchOperator",
        "OmicsDeleteBatchOperator",
        "OmicsCreateRunGroupOperator",
        "OmicsDeleteRunGroupOperator",
        "OmicsRunSensor",
        "OmicsRunBatchSensor",
        "OmicsRunTrigger",
        "OmicsRunBatchTrigger",
    }


class Refused:
    """Stands for a module that a constructor must not use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a constructor used {name}")


@pytest.mark.disable_socket
@pytest.mark.parametrize("cls", TASKS + TRIGGERS, ids=_name)
def test_constructor_only_assigns(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constructor makes no call, looks up no connection and asks no clock: DAG files are parsed again and again."""
    for name, module in list(sys.modules.items()):
        if name.startswith("airflow_provider_omics."):
            for used in {"time", "uuid", "random"} & vars(module).keys():
                monkeypatch.setattr(module, used, Refused())
    monkeypatch.setattr(OmicsHook, "get_connection", Refused())

    make(cls, **{name: argument.default for name, argument in arguments_of(cls).items() if has_default(argument)})


@tasks
def test_arguments_are_kept_under_their_names(cls: type) -> None:
    """What was given is found under the argument's own name, as the very object: Airflow renders and copies by name."""
    for name in arguments_of(cls):
        value: Any = object() if name in getattr(cls, "template_fields", ()) else True
        assert getattr(make(cls, **{name: value}), name) is value


@tasks
def test_template_fields_are_arguments(cls: Any) -> None:
    """Airflow renders attributes that are arguments; a template field that is neither breaks at parse time."""
    assert set(cls.template_fields) <= arguments_of(cls).keys()
    assert len(set(cls.template_fields)) == len(cls.template_fields)
    assert {"aws_conn_id", "region_name", "verify"} <= set(cls.template_fields)


@tasks
def test_dicts_render_as_json(cls: Any) -> None:
    """Fields that hold dicts and lists are shown as JSON, and renderers are for template fields only."""
    structured = {
        name
        for name, parameter in arguments_of(cls).items()
        if name in cls.template_fields
        and re.search(r"Mapping|Iterable|Collection|dict|list", str(parameter.annotation))
    }

    assert structured <= cls.template_fields_renderers.keys() <= set(cls.template_fields)
    assert set(cls.template_fields_renderers.values()) <= {"json"}


@pytest.mark.parametrize("cls", TASKS + TRIGGERS, ids=_name)
def test_every_argument_is_documented(cls: type) -> None:
    """Each argument has its :param: in the docstring of the class that takes it, or of one of its bases."""
    documented = {name for owner in ours(cls) for name in re.findall(r":param (\w+):", inspect.getdoc(owner) or "")}

    assert arguments_of(cls).keys() - documented == set()
    assert cls.__doc__
    assert cls.__doc__.splitlines()[0].endswith((".", ";", ","))


@pytest.mark.parametrize("cls", TASKS + TRIGGERS, ids=_name)
def test_what_is_documented_is_there(cls: type) -> None:
    """A :param: for what the constructor does not take would mislead."""
    documented = set(re.findall(r":param (\w+):", cls.__doc__ or ""))

    assert documented <= arguments_of(cls).keys() | {"kwargs"}


def raised(cls: type) -> list[str]:
    """Give the errors that the docstring of a class names."""
    fields = re.findall(r"^ *:raises ([^:]+):", cls.__doc__ or "", re.MULTILINE)
    return [name for names in fields for name in re.findall(r"\w+", names)]


@tasks
def test_errors_are_documented(cls: type) -> None:
    """Every task makes calls that can be refused: its docstring says so, and names errors that there are, each once."""
    named = raised(cls)

    assert "ServiceError" in named
    assert len(set(named)) == len(named)
    for name in named:
        error = getattr(errors, name, None) or getattr(sdk, name)
        assert issubclass(error, AirflowException if name.startswith("Airflow") else errors.OmicsError)


@tasks
def test_common_arguments_have_common_defaults(cls: type) -> None:
    """An argument that many classes share means the same, and has the same default, in each of them."""
    for name, parameter in arguments_of(cls).items():
        if name in _COMMON_DEFAULTS:
            assert parameter.default == _COMMON_DEFAULTS[name], name
    assert {"aws_conn_id", "region_name", "verify", "botocore_config"} <= arguments_of(cls).keys()


@pytest.mark.parametrize("cls", [cls for cls in TASKS if "deferrable" in arguments_of(cls)], ids=_name)
def test_deferrable_follows_airflows_default(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing said, ``[operators] default_deferrable`` decides."""
    assert make(cls).deferrable is False
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert make(cls).deferrable is True
    assert make(cls, deferrable=False).deferrable is False


@tasks
def test_deep_copies(cls: type) -> None:
    """Airflow copies tasks before it runs them; a copy has the same arguments, also after its hook was made."""
    task = make(cls)
    again = copy.deepcopy(task)

    for name in arguments_of(cls):
        assert getattr(again, name) == getattr(task, name)


@tasks
def test_dag_serialisation(cls: Any) -> None:
    """Airflow's serialised DAG, all that scheduler and UI see, can be made and read."""
    module = importlib.import_module("airflow.serialization.serialized_objects")
    serialization = getattr(module, "DagSerialization", None) or module.SerializedDAG  # the latter before Airflow 3.1
    with DAG("serialised", schedule=None) as dag:
        make(cls)

    data = serialization.to_dict(dag)
    json.dumps(data)
    task = serialization.from_dict(data).task_dict["a_task"]

    assert task.task_type == cls.__name__
    assert set(task.template_fields) == set(cls.template_fields)
    for name in required_arguments(cls):
        assert getattr(task, name) == f"{{{{ {name} }}}}"


@tasks
def test_default_args(cls: type) -> None:
    """Every argument may come from a DAG's default_args."""
    with DAG("defaults", schedule=None, default_args={"poll_interval": 7, "aws_conn_id": "lab", "region_name": "x"}):
        task = make(cls)

    assert (task.aws_conn_id, task.region_name) == ("lab", "x")
    if "poll_interval" in arguments_of(cls):
        assert task.poll_interval == 7


@tasks
def test_partial_and_expand(cls: Any) -> None:
    """Every argument may be fixed by partial or mapped by expand; a wrong name is refused while parsing."""
    for name in arguments_of(cls):
        fixed = {other: value for other, value in required_arguments(cls).items() if other != name}
        with DAG("mapped", schedule=None):
            mapped = cls.partial(task_id="a_task", **fixed).expand(**{name: ["a", "b"]})
        assert mapped.operator_class is cls or mapped.operator_class["task_type"] == cls.__name__
    with DAG("mapped", schedule=None), pytest.raises(TypeError):
        cls.partial(task_id="a_task", no_such_argument=1)


@tasks
def test_unknown_argument_is_refused(cls: type) -> None:
    """A misspelt argument is an error while the DAG is parsed, not a silent default."""
    with pytest.raises((TypeError, AirflowException)) as caught:
        make(cls, no_such_argument=1)

    assert "no_such_argument" in str(caught.value)


@triggers
def test_trigger_keeps_every_argument(cls: Any) -> None:
    """What a trigger serialises are the very arguments of its constructor: each given value comes back."""
    given: dict[str, Any] = {name: f"value of {name}" for name in arguments_of(cls)}
    if cls.__name__ == "OmicsRunBatchTrigger":
        del given["run_timeout"]  # of runs only
        given["stretch"] = Stretch(1800.0, 0.0, 1800.0).to_json()
    path, arguments = cls(**given).serialize()

    assert path == f"{cls.__module__}.{cls.__qualname__}"
    assert arguments == given


@triggers
def test_trigger_is_stored_as_json(cls: Any) -> None:
    """Airflow makes a trigger anew of its stored arguments alone."""
    arguments = make(cls).serialize()[1]

    assert json.loads(json.dumps(arguments)) == arguments


@pytest.mark.parametrize("cls", [*OPERATORS, *SENSORS], ids=_name)
def test_name_says_what_it_is(cls: type) -> None:
    """Omics, verb, noun, kind: users find classes by name."""
    kind = "Sensor" if cls in SENSORS else "Operator"

    assert re.fullmatch(rf"Omics[A-Z][A-Za-z]+{kind}", cls.__name__)
