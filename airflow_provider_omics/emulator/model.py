"""The botocore service model of HealthOmics, the emulator's source of truth."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from botocore.loaders import create_loader
from botocore.model import ServiceModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.loaders import Loader

#: Shape -> members of answers that came with a release after botocore 1.42.74, the oldest that this package takes. The
#: service sends them to every client, and an old one passes over them: where the installed model does not have them,
#: they are left out.
YOUNGER_MEMBERS: Mapping[str, frozenset[str]] = {
    "GetRunResponse": frozenset(
        {
            "configuration",
            "engineSettings",
            "networkingMode",
            "outputUriPrefixMode",
            "parametersUri",
            "requesterPaysEnabled",
            "scratchStorageMode",
            "sessionPolicy",
        }
    ),
    "GetRunTaskResponse": frozenset({"uuid"}),
    "RunListItem": frozenset({"workflowName"}),
    "StartRunResponse": frozenset({"configuration", "networkingMode"}),
    "TaskListItem": frozenset({"uuid"}),
}

#: Shape -> values that came later, too. The service returns and takes them whatever the client, which checks none.
YOUNGER_VALUES: Mapping[str, frozenset[str]] = {"BatchStatus": frozenset({"CREATING", "RUNS_DELETE_FAILED"})}


@lru_cache(maxsize=1)
def loader() -> Loader:
    """Return the loader of botocore's own data, shared because it caches each service's files (100 ms to read).

    :return: the loader. It belongs to no session, because a session fails on a broken profile of the machine's user.
    """
    return create_loader()


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """Read the model of ``omics``.

    :return: the model of the installed botocore.
    """
    return ServiceModel(loader().load_service_model("omics", "service-2"), "omics")
