"""Everything behind the port: HealthOmics, the services beside it, their clock, faults and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_omics.emulator.api.service import HealthOmics
from airflow_provider_omics.emulator.http.calls import Calls
from airflow_provider_omics.emulator.http.moto_services import MotoServices
from airflow_provider_omics.emulator.script.clock import Clock, SteppedClock
from airflow_provider_omics.emulator.script.faults import Fault, Faults
from airflow_provider_omics.emulator.script.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_omics.emulator.script.limits import Limits


#: Seconds that a call spends on what has happened since the last one, before it answers with what it has got.
_PATIENCE = 0.05


class LocalAws:
    """A HealthOmics with S3, Logs, EventBridge, SQS, STS and IAM beside it, as tests and the control API steer it.

    :param clock: the time of all services.
    :param limits: quotas and rates; None: those of the scenario.
    :param seed: seed of ids, invented outcomes and draws of faults.
    :param account: account id that owns ``buckets``.
    :param region: region of ``buckets``.
    :param buckets: S3 buckets that exist from the start, also after :meth:`reset`.
    :raises ValueError: S3 would not allow the name of a bucket.
    """

    def __init__(
        self, *, clock: Clock, limits: Limits | None, seed: int, account: str, region: str, buckets: tuple[str, ...]
    ) -> None:
        self.clock = clock
        self.calls = Calls()
        self.moto = MotoServices()
        self.service = HealthOmics(clock=clock, limits=limits, surroundings=self.moto, seed=seed, patience=_PATIENCE)
        self.faults = Faults(lambda: clock.now().timestamp(), HealthOmics.OPERATIONS, seed)
        self._account = account
        self._region = region
        self._buckets = buckets
        self._scenario_faults: list[Fault] = []
        self._create_buckets()

    def advance(self, seconds: float) -> None:
        """Move a stepped clock, and deliver the events of the time that passed.

        :param seconds: how far, 0 or more.
        :raises TypeError: the clock is not a stepped one.
        """
        if not isinstance(self.clock, SteppedClock):
            raise TypeError("this emulator's clock runs by itself: only a SteppedClock can be advanced")
        self.clock.advance(seconds)
        self.service.catch_up()
        if self.moto.has_event_rules():
            while not self.service.flush_events():
                pass

    def set_scenario(self, scenario: Scenario | Mapping[str, Any]) -> None:
        """Replace the scenario.

        :param scenario: a scenario, or the mapping of one; its ``faults`` replace those in force.
        :raises ValueError: the scenario or a fault cannot be understood; then nothing has changed.
        """
        if isinstance(scenario, Scenario):
            scripted, faults = scenario, []
        else:
            rest = dict(scenario)
            faults = [Fault.from_mapping(fault) for fault in rest.pop("faults", None) or ()]
            scripted = Scenario.from_mapping(rest)
        self.service.set_scenario(scripted)
        self.faults.replace(faults)
        self._scenario_faults = faults

    def reset(self) -> None:
        """Forget runs, batches, objects, logs, rules, faults and counts.

        The clock goes on; the scenario stays, with its faults; the buckets of the start are made anew.
        """
        self.service.reset()
        self.moto.reset()
        self.faults.replace(self._scenario_faults)
        self.calls.clear()
        self._create_buckets()

    def _create_buckets(self) -> None:
        for bucket in self._buckets:
            self.moto.create_bucket(self._account, self._region, bucket)
