"""Faults on purpose: throttling, quotas, errors, slowness and lost connections, by operation.

Whether a fault strikes is drawn from a generator with a fixed seed, so the same calls meet the same faults.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.emulator.errors import ServiceError, error_statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Message of an error that is injected on purpose.
MESSAGE = "Rate exceeded or fault injected by the emulator"

_EFFECTS = ("error", "calls_per_second", "latency_seconds", "lost_request", "lost_response")


@dataclass(frozen=True)
class Fault:
    """One fault. Exactly one effect must be given.

    :param operation: name of the operation it strikes, as in the API (``GetRun``); default ``*``: every operation.
    :param error: code of an error of the service, answered instead of doing the call: ``ThrottlingException`` (429),
        ``InternalServerException`` (500), ``RequestTimeoutException`` (408), ``AccessDeniedException`` (403),
        ``ServiceQuotaExceededException`` (402), ...
    :param calls_per_second: quota: calls beyond it get a ThrottlingException. Bursts of one second's worth of calls
        pass. Seconds are those of the emulator's clock.
    :param latency_seconds: the answer comes this many seconds of wall time later, whatever the emulator's clock is.
    :param lost_request: the connection dies before the call is done.
    :param lost_response: the call is done, and the connection dies without an answer.
    :param probability: share of the calls that it strikes, 0 to 1; default 1: all.
    :param times: how many calls it strikes before it is over; default None: until it is removed.
    :param message: text of the error; default :data:`MESSAGE`.
    :raises ValueError: there is no effect, or more than one, or a value is out of its range.
    """

    operation: str = "*"
    error: str | None = None
    calls_per_second: float | None = None
    latency_seconds: float | None = None
    lost_request: bool = False
    lost_response: bool = False
    probability: float = 1.0
    times: int | None = None
    message: str = MESSAGE

    def __post_init__(self) -> None:
        effects = [name for name in _EFFECTS if getattr(self, name) is not None and getattr(self, name) is not False]
        if len(effects) != 1:
            raise ValueError(f"a fault needs exactly one of {', '.join(_EFFECTS)}, not {effects}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability={self.probability!r}: a fault's probability is between 0 and 1")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times={self.times!r}: a fault strikes at least once; leave it out for no limit")
        if self.error is not None and self.error not in error_statuses():
            raise ValueError(f"error={self.error!r}: the errors of HealthOmics are {sorted(error_statuses())}")
        for name in ("calls_per_second", "latency_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value!r}: must be above 0")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Fault:
        """Make a fault from JSON or YAML.

        :param mapping: the parameters of this class by name.
        :return: the fault.
        :raises ValueError: a key is unknown, or the class refuses a value.
        """
        if not isinstance(mapping, Mapping):
            raise ValueError(f"a fault is a mapping of its parameters, not {mapping!r}")  # noqa: TRY004  # one kind for all
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(mapping) - known)
        if unknown:
            raise ValueError(f"unknown keys {unknown} of a fault; known are {sorted(known)}")
        return cls(**mapping)


@dataclass(frozen=True)
class Ordeal:
    """The effects on a call that is carried out all the same.

    :param latency_seconds: wall time before the answer.
    :param lost_response: whether the connection dies without an answer.
    """

    latency_seconds: float = 0.0
    lost_response: bool = False


_NOTHING = Ordeal()


class ConnectionLost(Exception):
    """The connection to the client must die without an answer."""


class Faults:
    """The faults in force.

    :param now: the emulator's clock in seconds since some fixed instant; refills the quotas.
    :param operations: names of the operations that a fault may name; default None: any name passes.
    :param seed: seed of the draws.
    """

    def __init__(self, now: Callable[[], float], operations: frozenset[str] | None = None, seed: int = 0) -> None:
        self._now = now
        self._operations = operations
        self._seed = seed
        self._added = 0
        self._active: list[_ActiveFault] = []
        self._lock = threading.RLock()

    def add(self, fault: Fault | None = None, **parameters: Any) -> Fault:
        """Put a fault in force.

        :param fault: the fault; default: one made of ``parameters``.
        :param parameters: the parameters of :class:`Fault` by name.
        :return: the fault, for :meth:`remove`.
        :raises ValueError: the fault names an operation that the emulator does not have.
        """
        fault = fault or Fault.from_mapping(parameters)
        if self._operations is not None and fault.operation != "*" and fault.operation not in self._operations:
            raise ValueError(f"operation={fault.operation!r}: not an operation of the emulator (or * for all)")
        with self._lock:
            generator = random.Random(f"{self._seed}:{self._added}")  # repeatable, not secret
            self._added += 1
            self._active.append(_ActiveFault(fault, generator, self._now()))
        return fault

    def replace(self, faults: Iterable[Fault]) -> None:
        """Remove all faults and put others in force.

        :param faults: the new ones, in the order in which they are asked.
        :raises ValueError: as :meth:`add`; the old faults are then gone.
        """
        self.clear()
        for fault in faults:
            self.add(fault)

    def remove(self, fault: Fault) -> None:
        """Take a fault out of force. A fault that is over or was never in force is no error.

        :param fault: the fault that :meth:`add` returned.
        """
        with self._lock:
            self._active = [active for active in self._active if active.fault is not fault]

    def clear(self) -> None:
        """Take all faults out of force, and start the draws anew."""
        with self._lock:
            self._active = []
            self._added = 0

    def active(self) -> list[dict[str, Any]]:
        """Return the faults in force.

        :return: for each its parameters, and ``struck``: the number of calls that it has struck.
        """
        return [asdict(active.fault) | {"struck": active.struck} for active in self._active]

    def strike(self, operation: str) -> Ordeal:
        """Ask all faults about one call, in the order in which they were added.

        :param operation: name of the operation called.
        :return: the effects on the call, which is carried out.
        :raises ServiceError: the call is answered with an error.
        :raises ConnectionLost: the call dies before it is done.
        """
        if not self._active:
            return _NOTHING
        with self._lock:
            return self._strike(operation)

    def _strike(self, operation: str) -> Ordeal:
        latency, lost = 0.0, False
        for active in list(self._active):
            if active.fault.operation not in ("*", operation) or not active.strikes(self._now()):
                continue
            fault = active.fault
            if active.is_over():
                self.remove(fault)
            if fault.lost_request:
                raise ConnectionLost
            if fault.error or fault.calls_per_second:
                raise ServiceError(fault.error or "ThrottlingException", fault.message)
            latency += fault.latency_seconds or 0.0
            lost = lost or fault.lost_response
        return Ordeal(latency, lost)


class _ActiveFault:
    """A fault in force, its draws and its bucket of calls."""

    def __init__(self, fault: Fault, generator: random.Random, now: float) -> None:
        self.fault = fault
        self.struck = 0
        self._generator = generator
        self._filled_at = now
        # One second's worth of calls at once, and at least one: a quota under 1 would pass nothing.
        self._capacity = max(1.0, fault.calls_per_second or 0.0)
        self._tokens = self._capacity

    def strikes(self, now: float) -> bool:
        if self.fault.calls_per_second and self._take(now, self.fault.calls_per_second):
            return False
        if self.fault.probability < 1 and self._generator.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def is_over(self) -> bool:
        return self.fault.times is not None and self.struck >= self.fault.times

    def _take(self, now: float, rate: float) -> bool:
        self._tokens = min(self._capacity, self._tokens + max(0.0, now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
