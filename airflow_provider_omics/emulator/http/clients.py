"""boto3 clients of the emulator."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.session import Session

from airflow_provider_omics.emulator.model import loader

#: No secret: signatures are not checked. Not a common word either, because Airflow masks a connection's password
#: wherever it finds it in a log.
SECRET_KEY = "emulator/not/a/secret"  # noqa: S105  # it is none


#: Values of botocore's settings by name, environment variable, default and conversion: no profile and no files.
_NOBODYS_SETTINGS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def make_client(
    service: str, *, access_key: str, region: str, endpoint_url: str | None = None, config: Config | None = None
) -> Any:
    """Make a boto3 client from nothing but its arguments: no profile, no session of anybody.

    :param service: name of the service, as in boto3.
    :param access_key: access key id; 12 digits act as account id.
    :param region: region name.
    :param endpoint_url: where to; default: AWS's own address.
    :param config: botocore settings.
    :return: the boto3 client.
    """
    session = Session(session_vars=_NOBODYS_SETTINGS)
    session.register_component("data_loader", loader())
    # Else AWS_ENDPOINT_URL would lead in-process clients elsewhere; an endpoint_url given here holds all the same.
    own = Config(ignore_configured_endpoint_urls=True)
    return boto3.session.Session(botocore_session=session).client(
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=SECRET_KEY,
        config=own.merge(config) if config else own,
    )
