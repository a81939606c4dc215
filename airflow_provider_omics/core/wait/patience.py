"""Patience: how long a loop bears failures that may pass, and how long it pauses between two tries. It has no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

REMINDER = 60.0
"""Seconds between two lines in the log about an address where nothing answers: somebody has to correct it."""

LONGEST_BACK_OFF = 300.0
"""Seconds between two tries while HealthOmics cannot be asked: long enough to recover, short enough to notice."""


@dataclass(frozen=True)
class Patience:
    """The failures of a loop so far, and when the next try comes, or none.

    A loop keeps one, takes the next one from :meth:`failed` at each failure, and the first one again after a success.

    :param seconds: how long failures are borne, counted from the first one.
    :param first_pause: seconds of the pause after the first failure; each further failure doubles it.
    :param longest_pause: seconds beyond which it does not grow; default :data:`LONGEST_BACK_OFF`.
    :param since: moment of the first failure, in seconds since any fixed point; None: nothing has failed.
    :param failures: how many there were since.
    :param told: moment of the failure that the log was last told of.
    :param unreachable: whether nothing answered at the address: the next try, and the next line, come within a minute.
    """

    seconds: float
    first_pause: float
    longest_pause: float = LONGEST_BACK_OFF
    since: float | None = None
    failures: int = 0
    told: float | None = None
    unreachable: bool = False

    def failed(self, now: float, *, unreachable: bool = False) -> Patience:
        """Count a failure.

        :param now: its moment.
        :param unreachable: nothing answered at the address. Default False.
        :return: the patience that is left.
        """
        is_news = self.told is None or (unreachable and now - self.told >= REMINDER)
        return replace(
            self,
            since=now if self.since is None else self.since,
            failures=self.failures + 1,
            told=now if is_news else self.told,
            unreachable=unreachable,
        )

    def is_told(self, now: float) -> bool:
        """Whether the failure of this moment is one that the log is told of."""
        return self.told == now

    def spent(self, now: float) -> float:
        """Seconds since the first failure; 0 while nothing has failed."""
        return 0.0 if self.since is None else now - self.since

    def is_over(self, now: float) -> bool:
        """Whether the loop gives up at a failure of this moment."""
        return self.since is not None and self.spent(now) >= self.seconds

    @property
    def pause(self) -> float:
        """Seconds from the last failure to the next try."""
        longest = min(self.longest_pause, REMINDER) if self.unreachable else self.longest_pause
        return min(self.first_pause * 2.0 ** min(max(self.failures - 1, 0), 16), longest)

    def last_pause(self, now: float) -> float:
        """Seconds to the next try, cut so that it comes no later than the end of the patience."""
        return min(self.pause, self.seconds - self.spent(now))
