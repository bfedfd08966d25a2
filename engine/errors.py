"""Everything Mobiscope refuses, as sentences an analyst can act on.

A message says what was found, where, what is needed and what to do. Screens and the command line show `str(error)`, never a trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing wrong (or repaired) in what was brought.

    Attributes:
        code: Stable upper-case name, such as `EMPTY` or `LAT_RANGE`; tests and docs refer to it.
        found: What is there, as a sentence.
        mend: What to do about it, as a sentence.
        file: Name of the file as the analyst knows it.
        row: First row concerned, counted from 1 without the header; None where no single row is to blame.
        column: Column concerned.
        rows: How many rows are concerned.
        fatal: Whether the file is refused for it. Others are repairs and warnings, counted and shown.
    """

    code: str
    found: str
    mend: str = ""
    file: str = ""
    row: int | None = None
    column: str | None = None
    rows: int = 0
    fatal: bool = True

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                self.file and f"`{self.file}`",
                self.row is not None and f"row {self.row}",
                self.column and f"column `{self.column}`",
            )
            if part
        )
        return " ".join(part for part in (f"{where}:" if where else "", self.found, self.mend) if part)


class MobiscopeError(Exception):
    """Base of all refusals; `str(error)` is fit for the screen."""


class IngestError(MobiscopeError):
    """Files were refused. Carries every problem of the upload, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems if problem.fatal) or "The upload was refused.")


class CityError(MobiscopeError):
    """A city is missing, damaged, or lacks what was asked of it."""


class ConfigError(MobiscopeError):
    """A setting is unknown, out of range, or contradicts another."""


def settings_sentence(error: Any) -> str:
    """What a pydantic `ValidationError` found wrong with settings, as one sentence: each field, the complaint, what was given."""
    parts = [
        f"`{'.'.join(map(str, one['loc'])) or 'value'}`: {one['msg'][:1].lower()}{one['msg'][1:]} (found {str(one['input'])[:60]!r})"
        for one in error.errors()
    ]
    return f"These settings do not fit. {'; '.join(parts)}."


class RequirementError(MobiscopeError):
    """A model cannot run on this city; the message lists what is missing and why it is needed."""


class EncoderError(MobiscopeError):
    """A frozen encoder is absent, incomplete or not what its fingerprint says."""


class RunError(MobiscopeError):
    """A run is missing, damaged, of another version, or in a state that forbids the action."""


class TrainingStopped(MobiscopeError):
    """Training ended early on purpose or for a reason worth a sentence (cancelled, not finite, out of memory)."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class ProbeError(MobiscopeError):
    """A probe was asked for that the model does not have, or an override does not fit it."""


class ScenarioError(MobiscopeError):
    """An edit cannot be applied to this city, query or model."""
