"""A scenario: a named, shareable list of edits to one city, replayable from the command line."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import store
from engine.errors import ScenarioError
from engine.scenarios.edits import AnyEdit

SCENARIO_VERSION = 1
MOST_EDITS = 1_000
MOST_ACTIONS = 200
"""Actions that can be taken back."""


class Query(BaseModel):
    """The question a scenario asks: which visit of which person is to be predicted."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    user_id: str = Field(max_length=200)
    started_at: datetime = Field(description="Start of the visit to predict, with time zone.")


class Scenario(BaseModel):
    """Edits in order, the city they are made for, and optionally the question they are judged by."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: int = SCENARIO_VERSION
    name: str = Field("Untitled scenario", min_length=1, max_length=120)
    notes: str = Field("", max_length=5_000)
    city: str = Field("", max_length=120, description="Name of the city.")
    city_fingerprint: str = Field("", max_length=64, description="Fingerprint of the city the edits were made for.")
    query: Query | None = None
    edits: tuple[AnyEdit, ...] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads a scenario file.

        Raises:
            ScenarioError: In sentences, all problems at once: no JSON, another schema version, too many or unknown edits.
        """
        try:
            raw = store.parse_json(text)
        except ValueError as error:
            raise ScenarioError(f"This is no scenario file: {error}. Save one on the What-if page.") from None
        if not isinstance(raw, dict):
            raise ScenarioError("This is no scenario file: it holds no object. Save one on the What-if page.")
        version = raw.get("schema_version", SCENARIO_VERSION)
        if version != SCENARIO_VERSION:
            raise ScenarioError(
                f"The scenario has schema version {version!r}; this Mobiscope reads version {SCENARIO_VERSION}. "
                "Open it with the Mobiscope that wrote it."
            )
        edits = raw.get("edits", [])
        if isinstance(edits, list) and len(edits) > MOST_EDITS:
            raise ScenarioError(f"The scenario has {len(edits):,} edits; at most {MOST_EDITS:,} are applied. Split it.")
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, item['loc'])) or 'scenario'}: {item['msg']}" for item in error.errors()[:20]]
            raise ScenarioError("The scenario cannot be read. " + "; ".join(problems) + ".") from None

    def to_json(self) -> str:
        """The scenario file."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def digest(self) -> str:
        """sha256 of what the scenario does; names and notes do not count, nor what an overridden entry is called."""
        content = self.model_dump(mode="json", include={"schema_version", "city_fingerprint", "query", "edits"})
        for edit in content["edits"]:
            edit.pop("note")
            edit.pop("entry", None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class EditStack:
    """The edits in hand and how they came about; every action gives a new stack, and undo takes back exactly the last action.

    Attributes:
        done: The edits, in their order.
        past: The edits before each action, the last action last.
        future: The edits after each action that was undone, the last one undone last.
    """

    done: tuple[AnyEdit, ...] = ()
    past: tuple[tuple[AnyEdit, ...], ...] = ()
    future: tuple[tuple[AnyEdit, ...], ...] = ()

    def push(self, edit: AnyEdit) -> "EditStack":
        """Does one more edit."""
        if len(self.done) >= MOST_EDITS:
            raise ScenarioError(f"A scenario holds at most {MOST_EDITS:,} edits. Save this one and begin another.")
        return self.replaced((*self.done, edit))

    def without(self, position: int) -> "EditStack":
        """Removes one edit anywhere in the stack."""
        return self.replaced(self.done[:position] + self.done[position + 1 :])

    def replaced(self, edits: tuple[AnyEdit, ...]) -> "EditStack":
        """Puts other edits in their place; what was undone is forgotten."""
        return EditStack(edits, (*self.past, self.done)[-MOST_ACTIONS:])

    def undo(self) -> "EditStack":
        """Takes the last action back; nothing happens where there is none."""
        return EditStack(self.past[-1], self.past[:-1], (*self.future, self.done)) if self.past else self

    def redo(self) -> "EditStack":
        """Does the action again that was undone last."""
        return EditStack(self.future[-1], (*self.past, self.done), self.future[:-1]) if self.future else self
