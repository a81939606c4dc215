"""Sessions of boto3 whose clients take less time for each call, and for being made.

Without it a page of ListRuns with 100 runs takes 9 ms of CPU, not 2.3, and a GetRun 1.6 ms, not 1.4 (measured).
"""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.utils import parse_timestamp


def prepare(session: Any, config: Config) -> Any:
    """Have the clients of a session parse timestamps faster, send one user agent, and share the data files.

    :param session: a session of boto3 that has made no client yet.
    :param config: what the user has configured for its clients.
    :return: the session.
    """
    core = session._session  # noqa: SLF001 - botocore's session; boto3 has no public way to it
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    # For the clients of STS, too, that botocore makes by itself: for the role of a profile, for a web identity.
    names = ("connect_timeout", "proxies", "proxies_config", "read_timeout", "retries")
    ours = Config(user_agent=user_agent(core, config), **{name: getattr(config, name) for name in names})
    default = core.get_default_client_config()
    core.set_default_client_config(default.merge(ours) if default else ours)
    return session


def parse_time(value: Any) -> datetime:
    """Read a timestamp of an answer.

    botocore's own reading knows every form there is, and takes three quarters of the CPU time of a page of ListRuns,
    which has 300 timestamps. This one knows the form that HealthOmics uses, and leaves the others to botocore.

    :param value: as it stands in the answer: ``"2026-11-22T10:00:00.123Z"``.
    :return: the moment; aware, if the answer tells a zone.
    """
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        moment: datetime = parse_timestamp(value)
        return moment


def user_agent(session: Any, config: Config) -> str | None:
    """Put the user agent of a session's clients together, once for all calls.

    botocore does it twice for each call, in the long form that also tells the retry mode and the features in use: a
    tenth of the CPU time of a GetRun. The short form, of ``Session.user_agent``, has the versions of boto3, botocore,
    Python and the system; what the Amazon provider adds (``user_agent_extra``) follows it.

    :param session: a session of botocore.
    :param config: what the user has configured for its clients.
    :return: the user agent; None where botocore has to make it: the user has one of their own, or an application id,
        which only the long form tells.
    """
    if config.user_agent or config.user_agent_appid or session.get_config_variable("user_agent_appid"):
        return None
    # The clients add the session's extra part themselves.
    agent: str = session.user_agent().removesuffix(f" {session.user_agent_extra}")
    return agent


@cache
def _loader(search_path: str | None) -> Loader:
    """Make the reader of botocore's data files that all sessions share: each would read them anew, in 0.1 s of CPU.

    :param search_path: ``data_path`` of the AWS configuration.
    """
    loader: Loader = create_loader(search_path)
    loader.file_loader = _LeanFiles()
    return loader


class _LeanFiles(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads data files of botocore without what no client of ours needs: a client takes 4 MB with it, not 12.

    Left out are documentation, and the endpoints of services that are never called. Plain dicts keep the order of their
    keys as botocore's do, in half the memory. They are made in Python, which lets the event loop run meanwhile.
    """

    def load_file(self, file_path: str) -> Any:
        for suffix, open_file in ((".json", open), (".json.gz", gzip.open)):
            path = Path(file_path + suffix)
            if path.is_file():
                with open_file(path, "rb") as file:
                    text = file.read().decode()
                if path.name.startswith("endpoints."):
                    text = own_endpoints(text)
                return json.loads(text, object_pairs_hook=_without_documentation)
        return None


_SERVICES = ("iam", "omics", "sts")
"""Those that the Amazon provider's hook of any service calls, beside the service itself."""

_SERVICES_BEGIN = re.compile(r'"services"\s*:\s*\{\s*')
_SPACE = re.compile(r"[\s:,]*")


def own_endpoints(text: str) -> str:
    """Cut the endpoints of other services out of ``endpoints.json``: those of 300 services take 7 MB.

    They are read one by one, as the memory of what is read together does not all come back.

    :param text: the file.
    :return: the same with the services that are called.
    """
    decode = json.JSONDecoder().raw_decode
    kept, at = [], 0
    for begin in _SERVICES_BEGIN.finditer(text):
        kept.append(text[at : begin.end()])
        at = begin.end()
        ours = []
        while text[at] != "}":
            entry = at
            name, at = decode(text, entry)
            _, at = decode(text, _skip(text, at))
            if name in _SERVICES:
                ours.append(text[entry:at])
            at = _skip(text, at)
        kept.append(",".join(ours))
    return "".join(kept) + text[at:]


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _without_documentation(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A member of a shape may have this name as well: then it is described by a dict.
    return {name: value for name, value in pairs if name != "documentation" or not isinstance(value, str)}
