"""What is asked of a run, and what is known of it: small objects that forms, command line, registry and pages share."""

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from engine import models
from engine.city.cell_splits import CellSplit
from engine.city.city import City
from engine.city.splits import Split, split_kinds

State = Literal["PENDING", "RUNNING", "DONE", "FAILED", "CANCELLED", "LOST"]
ENDED: tuple[State, ...] = ("DONE", "FAILED", "CANCELLED", "LOST")


_CELL_KINDS = get_args(CellSplit.model_fields["kind"].annotation)


def _split_of(value: Any) -> str:
    """Which of the two splits is meant; told by the kind, which saved requests always name."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "cells" if kind in _CELL_KINDS else "visits"


AnySplit = Annotated[Annotated[Split, Tag("visits")] | Annotated[CellSplit, Tag("cells")], Discriminator(_split_of)]


def plain_split(model: str) -> Split | CellSplit:
    """The split proposed for a model: of visits, or of cells for a grid model."""
    return CellSplit() if models.task_of(model) == "grid_flow" else Split()


def proposed_kind(model: str, city: City) -> str:
    """The kind of split that form and command line propose for a model on a city."""
    return plain_split(model).kind if models.task_of(model) == "grid_flow" else split_kinds(city)[0]


class RunRequest(BaseModel):
    """One training to do; the Train page and `mobiscope train` fill the same fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(title="Model", description="Key of the model, e.g. `calliper`.")
    city: str = Field(title="City", description="Name or slug of a saved city.")
    split: AnySplit = Field(
        Split(), title="Split", description="How visits, or for a grid model cells, are divided into training, validation and test."
    )
    preset: str = Field("demo", title="Preset", description="Named settings of the model.")
    config: dict[str, Any] = Field({}, title="Settings", description="Settings that differ from the preset, or all of them.")
    seed: int = Field(0, ge=0, lt=2**31, title="Seed", description="Draws weights, batches and dropout.")
    name: str = Field("", max_length=120, title="Name", description="What the run is called on screen; default its id.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", title="Device", description="auto takes a GPU where there is one."
    )

    @model_validator(mode="before")
    @classmethod
    def _propose_split(cls, values: Any) -> Any:
        """A grid model divides cells: also where the split is left out, or only some of its fields are given."""
        if not isinstance(values, dict):
            return values
        proposed, given = plain_split(str(values.get("model", ""))), values.get("split")
        if given is None:
            return values | {"split": proposed}
        if isinstance(given, dict) and "kind" not in given:
            return values | {"split": {"kind": proposed.kind, **given}}
        return values


class RunSummary(BaseModel):
    """One row of the list of runs."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    model: str
    city: str
    city_name: str
    preset: str
    seed: int
    state: State
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""
    headline: dict[str, float] = Field({}, description="Metrics of the model over all test samples, as shares.")


class RunStatus(BaseModel):
    """Where a run stands.

    Attributes:
        position: Place in the queue, 1 is next; None unless it waits.
        stalled: Whether it runs but has long taken no step; `force_stop` ends it.
    """

    model_config = ConfigDict(frozen=True)

    state: State
    phase: str = ""
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    eta_s: float | None = None
    memory_mb: float | None = None
    device: str = ""
    message: str = ""
    attempt: int = 0
    position: int | None = None
    stopping: bool = False
    stalled: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED

    @property
    def share(self) -> float:
        """Share of the most steps there can be, 0 to 1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0
