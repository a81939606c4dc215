"""The retry policy that knows this package's failures, for ``retry_policy=`` of a task (AIP-105, Airflow 3.3+)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.core.failure.reasons import FailureClass
from airflow_provider_omics.exceptions import FINAL

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy  # noqa: TID251 - see below

    HAS_POLICIES = True
else:
    try:
        # Older releases of common-compat that Airflow 3.3 works with do not have these names.
        from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy  # noqa: TID251 - see above

        HAS_POLICIES = True
    except ImportError:
        RetryPolicy, RetryDecision, HAS_POLICIES = object, None, False


class OmicsRetryPolicy(RetryPolicy):
    """Spend no retry on a HealthOmics failure that would recur, and leave all others to another policy.

    Any other ``retry_policy`` of a task decides on every failure, even on those that this package would not retry.

    :param otherwise: decides on failures of other kinds, and on those that another try may help; default: Airflow's
        ``retries`` and ``retry_delay``.
    :param delays: class of failure (``"transient"``, ``"unclear"``; with ``retry_permanent_failures`` also
        ``"permanent"``, ``"sizing"``) -> time before the next try, if ``otherwise`` makes no decision. Default: the
        task's ``retry_delay``.
    :raises RuntimeError: this Airflow has no retry policies.
    :raises ValueError: ``delays`` names no class of failure.
    """

    def __init__(self, otherwise: RetryPolicy | None = None, *, delays: Mapping[str, timedelta] | None = None) -> None:
        if not HAS_POLICIES:
            raise RuntimeError(
                "OmicsRetryPolicy needs Airflow 3.3 or newer, which has retry policies. Leave retry_policy out: the "
                "operators themselves spend no retry on a failure that comes back."
            )
        known = [failure_class.value for failure_class in FailureClass]
        unknown = [name for name in delays or {} if name not in known]
        if unknown:
            raise ValueError(f"delays = {unknown!r}: classes of failure are {', '.join(known)}")
        self.otherwise = otherwise
        self.delays = dict(delays or {})

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Decide on a failure; called by Airflow in the task's process.

        :param exception: the error that the task raised.
        :param try_number: number of this try.
        :param max_tries: Airflow's ``max_tries`` of the task.
        :param context: Airflow's context of the task.
        :return: FAIL for a failure that would recur; else the decision of ``otherwise``; else RETRY for a class in
            ``delays``.
        """
        diagnosis = getattr(exception, "diagnosis", None) or {}
        failure_class = diagnosis.get("failure_class")
        kind = f"{type(exception).__name__}, {failure_class} failure" if failure_class else type(exception).__name__
        if isinstance(exception, OmicsError) and _is_final(exception):
            return RetryDecision.fail(f"{kind}: another try would end the same way, or could be paid twice")
        if self.otherwise is not None:
            decision = self.otherwise.evaluate(exception, try_number, max_tries, context)
            if decision != RetryDecision.default():
                return decision
        if failure_class in self.delays:
            return RetryDecision.retry(self.delays[failure_class], kind)
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Write the policy as JSON values."""
        delays = {name: delay.total_seconds() for name, delay in self.delays.items()}
        otherwise = None if self.otherwise is None else self.otherwise.serialize()
        return {"__type": f"{__name__}.OmicsRetryPolicy", "delays": delays, "otherwise": otherwise}


def _is_final(error: OmicsError) -> bool:
    return isinstance(error, FINAL) if error.is_final is None else error.is_final
