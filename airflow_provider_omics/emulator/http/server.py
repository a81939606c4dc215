"""The emulator as one object: a local AWS behind a port, its connection and its clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from airflow_provider_omics.emulator.http.application import Application
from airflow_provider_omics.emulator.http.clients import SECRET_KEY, make_client
from airflow_provider_omics.emulator.http.control import Control
from airflow_provider_omics.emulator.http.local_aws import LocalAws
from airflow_provider_omics.emulator.http.loopback import LOOPBACK, LoopbackServer
from airflow_provider_omics.emulator.http.moto_services import DEFAULT_ACCOUNT
from airflow_provider_omics.emulator.script.clock import Clock, RealClock
from airflow_provider_omics.emulator.script.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from airflow_provider_omics.emulator.script.limits import Limits


class OmicsEmulator:
    """A local HealthOmics with S3, Logs, EventBridge, SQS and STS beside it, on one port of 127.0.0.1.

    A context manager: the port is open inside the ``with`` block. moto's state is one per process, so two emulators
    of one process share buckets, log groups and queues.

    :param clock: the emulator's time; default: the real time. A
        :class:`~airflow_provider_omics.emulator.script.clock.SteppedClock` moves with :meth:`advance` only.
    :param scenario: the script of outcomes; default: every run completes. A mapping may also hold ``faults``, a list of
        mappings as :class:`~airflow_provider_omics.emulator.script.faults.Fault` takes them.
    :param limits: quotas and rates; default: those of the scenario, else AWS's.
    :param port: TCP port; default 0: a free one.
    :param seed: seed of ids, invented outcomes and draws of faults; default 0.
    :param account: account id of :attr:`connection` and :meth:`client`; 12 digits.
    :param region: region of the same.
    :param buckets: S3 buckets that exist from the start, in that account and region, also after :meth:`reset`.
    :param default_bucket: one more bucket, which :attr:`connection` names as the place of outputs, results and staged
        settings, along with a service role; default None: the connection names neither.
    :raises ValueError: the scenario or a fault cannot be understood, or S3 would not allow a bucket's name.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        scenario: Scenario | Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        port: int = 0,
        seed: int = 0,
        account: str = DEFAULT_ACCOUNT,
        region: str = "us-east-1",
        buckets: Iterable[str] = (),
        default_bucket: str | None = None,
    ) -> None:
        self._aws = LocalAws(
            clock=clock or RealClock(),
            limits=limits,
            seed=seed,
            account=account,
            region=region,
            buckets=tuple(buckets) if default_bucket is None else (*buckets, default_bucket),
        )
        self.clock = self._aws.clock
        self.service = self._aws.service
        self.faults = self._aws.faults
        self.calls = self._aws.calls
        self.account = account
        self.region = region
        self.application = Application(self._aws, Control(self._aws, lambda: self.url))
        self._port = port
        self._default_bucket = default_bucket
        self._server: LoopbackServer | None = None
        self._clients: list[Any] = []
        if scenario is not None:
            self.set_scenario(scenario)

    def start(self) -> OmicsEmulator:
        """Open the port; calls are answered when this returns.

        :return: the emulator itself.
        :raises OSError: the port is taken.
        """
        if self._server is None:
            self._server = LoopbackServer(self.application, self._port)
            self._server.start()
            self._aws.moto.endpoint = self.url
        return self

    def stop(self) -> None:
        """Close the port, all connections and the clients of :meth:`client`, and wait for the server's threads."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        if self._server is not None:
            self._server.stop()
            self._server = None
        self.service.close()

    def __enter__(self) -> OmicsEmulator:  # noqa: PYI034  # Self is new in Python 3.11
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The endpoint URL of all services.

        :raises RuntimeError: the emulator is not started.
        """
        if self._server is None:
            raise RuntimeError("the emulator is not started: use it in a with block, or call start()")
        return f"http://{LOOPBACK}:{self._server.port}"

    @property
    def connection(self) -> dict[str, Any]:
        """The ready-made Airflow connection, as Airflow takes it in JSON (``AIRFLOW_CONN_AWS_DEFAULT``).

        With a default bucket it has a team's defaults: service role, output URI, staging and results URIs.
        """
        extra: dict[str, Any] = {
            "endpoint_url": self.url,
            "region_name": self.region,
            # Without it botocore calls workflows-127.0.0.1. OmicsHook sets it by itself; other hooks do not.
            "config_kwargs": {"inject_host_prefix": False},
        }
        if self._default_bucket is not None:
            extra["service_config"] = {"omics": self._team_defaults(self._default_bucket)}
        return {"conn_type": "aws", "login": self.account, "password": SECRET_KEY, "extra": extra}

    @property
    def connection_json(self) -> str:
        """:attr:`connection` as JSON text."""
        return json.dumps(self.connection)

    def client(self, service: str = "omics", *, account: str | None = None, config: Config | None = None) -> Any:
        """Make a boto3 client that talks to the emulator over HTTP. :meth:`stop` closes it.

        :param service: name of the service, as in boto3: ``omics``, ``s3``, ``logs``, ``events``, ``sqs``, ``sts``,
            ``pricing``.
        :param account: account id that calls; default: the emulator's own.
        :param config: botocore settings, merged over the emulator's.
        :return: the boto3 client.
        """
        base = Config(inject_host_prefix=False)
        client = make_client(
            service,
            access_key=account or self.account,
            region=self.region,
            endpoint_url=self.url,
            config=base.merge(config) if config else base,
        )
        self._clients.append(client)
        return client

    def advance(self, seconds: float) -> None:
        """Move a stepped clock, and deliver the events of the time that passed.

        :param seconds: how far, 0 or more.
        :raises TypeError: the emulator's clock is not a stepped one.
        """
        self._aws.advance(seconds)

    def set_scenario(self, scenario: Scenario | Mapping[str, Any]) -> None:
        """Replace the scenario.

        :param scenario: a scenario, or the mapping of one; its ``faults`` replace those in force.
        :raises ValueError: the scenario or a fault cannot be understood; then nothing has changed.
        """
        self._aws.set_scenario(scenario)

    def reset(self) -> None:
        """Forget runs, batches, objects, logs, rules, faults and counts.

        The clock goes on; the scenario stays, with its faults; the buckets of the start are made anew.
        """
        self._aws.reset()

    def _team_defaults(self, bucket: str) -> dict[str, Any]:
        return {
            "default_run_setting": {
                # Any role will do: the emulator checks none.
                "roleArn": f"arn:aws:iam::{self.account}:role/omics-service",
                "outputUri": f"s3://{bucket}/outputs/",
            },
            "staging_s3_uri": f"s3://{bucket}/staging/",
            "results_s3_uri": f"s3://{bucket}/results/",
        }
