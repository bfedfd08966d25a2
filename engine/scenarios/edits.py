"""The edits a what-if is made of: of the city, of the question, of a mechanism, of cells (`cell_edits`). JSON in, JSON out."""

import hashlib
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from engine.scenarios.cell_edits import CellChange
from engine.scenarios.edit_base import Edit as Edit
from engine.scenarios.edit_base import Identifier, Subject

Longitude = Annotated[float, Field(ge=-180, le=180, description="Degrees east.")]
Latitude = Annotated[float, Field(ge=-90, le=90, description="Degrees north.")]


class AddPlace(Edit):
    """A place opens."""

    subject: ClassVar[Subject] = "city"
    kind: Literal["add_place"] = "add_place"
    longitude: Longitude
    latitude: Latitude
    category: str = Field(max_length=200)
    name: str = Field("New place", max_length=200)
    location_id: str = Field("", max_length=200, description="Id of the new place; made from the rest where empty.")

    @model_validator(mode="after")
    def _identified(self) -> "AddPlace":
        if not self.location_id:
            content = f"{self.longitude:.7f},{self.latitude:.7f},{self.category},{self.name}"
            object.__setattr__(self, "location_id", f"added-{hashlib.sha256(content.encode()).hexdigest()[:10]}")
        return self

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"open {self.name} ({self.category or 'no category'})"


class MovePlace(Edit):
    """A place moves, with its whole past."""

    subject: ClassVar[Subject] = "city"
    kind: Literal["move_place"] = "move_place"
    location_id: Identifier
    longitude: Longitude
    latitude: Latitude

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"move {self.location_id} to {self.latitude:.5f}, {self.longitude:.5f}"


class ClosePlace(Edit):
    """A place closes: no one can go there; what people did there in the past stays."""

    subject: ClassVar[Subject] = "city"
    kind: Literal["close_place"] = "close_place"
    location_id: Identifier

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"close {self.location_id}"


class RetagPlace(Edit):
    """A place gets another category."""

    subject: ClassVar[Subject] = "city"
    kind: Literal["retag_place"] = "retag_place"
    location_id: Identifier
    category: str = Field(max_length=200)

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"make {self.location_id} a {self.category}"


class ChangeMoment(Edit):
    """The question is asked at another local hour or weekday."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["change_moment"] = "change_moment"
    hour: int | None = Field(None, ge=0, le=23, description="Local hour of the last visit.")
    weekday: int | None = Field(None, ge=0, le=6, description="Local weekday of the last visit, 0 is Monday.")

    def describe(self) -> str:
        """The edit as a phrase."""
        days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
        parts = [
            f"at {self.hour:02d} h" if self.hour is not None else "",
            f"on {days[self.weekday]}" if self.weekday is not None else "",
        ]
        return "ask " + (" ".join(part for part in parts if part) or "at the same moment")


class ChangeUser(Edit):
    """The same history, but of another person, or of one nobody knows."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["change_user"] = "change_user"
    user_id: str | None = Field(None, max_length=200, description="None is a person nobody knows.")

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"ask as user {self.user_id}" if self.user_id is not None else "ask as a person nobody knows"


class HideVisits(Edit):
    """Visits of the history the model may not see."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["hide_visits"] = "hide_visits"
    steps: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        min_length=1, description="Positions in the history, 0 is the oldest visit."
    )

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"hide visit {', '.join(str(step + 1) for step in self.steps)}"


class KeepLast(Edit):
    """Only the latest visits of the history are known; 1 is a cold start."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["keep_last"] = "keep_last"
    visits: int = Field(ge=1, le=10_000)

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"keep only the last {self.visits} visit{'s' if self.visits > 1 else ''}"


class ShuffleVisits(Edit):
    """The places of the history change their order among the times; the latest visit stays."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["shuffle_visits"] = "shuffle_visits"
    seed: int = Field(0, ge=0)

    def describe(self) -> str:
        """The edit as a phrase."""
        return "shuffle the order of the visits"


class ChangeStay(Edit):
    """The latest visit lasts another time."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["change_stay"] = "change_stay"
    minutes: float = Field(ge=0, le=10_080, description="Minutes from arrival to departure; a week at most.")

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"let the last visit take {self.minutes:g} minutes"


class ShiftLast(Edit):
    """The latest visit was somewhere else by so many metres, at no place of the city in particular."""

    subject: ClassVar[Subject] = "query"
    kind: Literal["shift_last"] = "shift_last"
    east_m: float = Field(0.0, ge=-1e6, le=1e6, description="Metres to the east in the city's CRS.")
    north_m: float = Field(0.0, ge=-1e6, le=1e6, description="Metres to the north in the city's CRS.")

    def describe(self) -> str:
        """The edit as a phrase."""
        ways = ((self.north_m, "north", "south"), (self.east_m, "east", "west"))
        told = [f"{abs(metres):,.0f} m {there if metres > 0 else back}" for metres, there, back in ways if round(metres)]
        return f"put the last visit {' and '.join(told)} of where it was" if told else "leave the last visit where it was"


class TurnKnob(Edit):
    """A setting of the trained model is turned, without training."""

    subject: ClassVar[Subject] = "mechanism"
    kind: Literal["turn_knob"] = "turn_knob"
    knob: Identifier
    value: bool | int | float | Annotated[str, Field(max_length=2_000)]

    def describe(self, title: str = "") -> str:
        """The edit as a phrase.

        Args:
            title: What the model calls the setting; its name in files where empty.
        """
        shown = {True: "on", False: "off"}[self.value] if isinstance(self.value, bool) else str(self.value)
        return f"turn {f'“{title}”' if title else self.knob} to {shown if len(shown) <= 60 else shown[:59] + '…'}"


class TakeHour(Edit):
    """The model takes an hour of the day for another one: what it learnt of the one, as a vector, gives way to that of the other."""

    subject: ClassVar[Subject] = "mechanism"
    kind: Literal["take_hour"] = "take_hour"
    hour: int = Field(ge=0, le=23, description="Local hour that is taken for another one.")
    as_hour: int = Field(ge=0, le=23, description="Local hour that it is taken for.")
    both_ways: bool = Field(False, description="The other one is taken for this one too: the two change places.")

    @model_validator(mode="after")
    def _two_hours(self) -> "TakeHour":
        if self.hour == self.as_hour:
            raise ValueError("an hour is already itself; name another one")
        return self

    def describe(self) -> str:
        """The edit as a phrase."""
        if self.both_ways:
            return f"let {self.hour:02d} h and {self.as_hour:02d} h change places"
        return f"read {self.hour:02d} h as if it were {self.as_hour:02d} h"


_SAID = {
    "silence all": "set {what} to zero",
    "scale": "multiply {what} by {amount}",
    "average": "give everyone the mean of {what}",
    "flatten": "make all weights alike in {what}",
    "sharpen": "let only the largest weight count in {what}",
    "silence": "let {entry} count for nothing in {what}",
    "force": "let only {entry} count in {what}",
    "dose": "give {entry} a weight of {amount} in {what}",
}
"""What an action does, in words; the actions themselves are in `engine.scenarios.mechanisms`."""


class OverrideProbe(Edit):
    """What passes through a probe of the model is replaced."""

    subject: ClassVar[Subject] = "mechanism"
    kind: Literal["override_probe"] = "override_probe"
    probe: Identifier
    action: str = Field(max_length=40, description="One of the actions that fit the probe's kind.")
    index: int | None = Field(
        None, ge=0, description="Position on the last axis (an expert, a component), where the action needs one."
    )
    entry: str = Field(
        "",
        max_length=200,
        description="What stands at that position, where it has a name; a run in which something else stands there refuses the edit.",
    )
    amount: float | None = Field(None, description="Strength, where the action needs one.")

    def describe(self, title: str = "") -> str:
        """The edit as a phrase.

        Args:
            title: What passes through the probe, in words; the probe's name where empty.
        """
        entry = f"“{self.entry}”" if self.entry else f"number {self.index}"
        amount = "its usual amount" if self.amount is None else f"{self.amount:g}"
        phrase = (
            "set {what} to {amount}" if self.action == "force" and self.index is None else _SAID.get(self.action, "{action} {what}")
        )
        return phrase.format(action=self.action, what=title or self.probe, entry=entry, amount=amount)


CITY_EDITS = (AddPlace, MovePlace, ClosePlace, RetagPlace)
QUERY_EDITS = (ChangeMoment, ChangeUser, HideVisits, KeepLast, ShuffleVisits, ChangeStay, ShiftLast)
CityEdit = AddPlace | MovePlace | ClosePlace | RetagPlace
QueryEdit = ChangeMoment | ChangeUser | HideVisits | KeepLast | ShuffleVisits | ChangeStay | ShiftLast
AnyEdit = Annotated[
    AddPlace
    | MovePlace
    | ClosePlace
    | RetagPlace
    | ChangeMoment
    | ChangeUser
    | HideVisits
    | KeepLast
    | ShuffleVisits
    | ChangeStay
    | ShiftLast
    | TurnKnob
    | TakeHour
    | OverrideProbe
    | CellChange,
    Field(discriminator="kind"),
]
