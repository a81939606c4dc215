"""What is wrong with what a user gave, one thing at a time; a SettingsError carries all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace


class GivenValue(str):
    """What a user gave, in the words of a message: it can identify a patient, so that masking hides it."""

    __slots__ = ()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the user gave.

    :param argument: where it stands, as the user typed it: ``"output_uri"``, ``"run_settings[3]['name']"``.
    :param value: what stands there, shortened; for workflow parameters its type, as values can identify a patient.
    :param allowed: what is allowed, and what to do.
    """

    argument: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """One line: argument, value, what is allowed."""
        return f"{self.argument} = {self.value}: {self.allowed}"

    def masked(self) -> Problem:
        """Give the same problem without a value of the user's; what is missing or too many is told all the same."""
        return replace(self, value="masked") if isinstance(self.value, GivenValue) else self
