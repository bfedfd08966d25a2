"""Which visits a model may learn from, which it is tuned on, and which it is judged on. Splits are saved with the run."""

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from engine.city.city import City
from engine.errors import ConfigError

PARTS = ("train", "valid", "test")


SplitKind = Literal["published", "chronological", "session", "user"]
_COLUMN_OF: dict[SplitKind, str] = {"published": "split", "chronological": "user_id", "session": "session_id", "user": "user_id"}


class Split(BaseModel):
    """How a city's visits are divided, plus the places hidden from training (the inductive setting)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: SplitKind = Field(
        "chronological",
        title="Split",
        description="published: the `split` column of the visits. chronological: per user by day. session: per user by session. user: "
        "each person in one part, drawn by the seed, so that nobody in the test part is seen in training.",
    )
    train_share: float = Field(
        0.6, gt=0, lt=1, description="Share for training: of each user's tracked days (or sessions), or by user of the people."
    )
    valid_share: float = Field(0.2, ge=0, lt=1, description="Share for validation; the rest is the test part.")
    history_days: int = Field(7, ge=1, le=60, title="History window", description="Days of visits a model sees before a target.")
    minimum_history: int = Field(3, ge=1, le=50, description="Visits a target needs inside its window.")
    warm_up_days: int = Field(7, ge=0, le=60, description="First days of each part that only serve as history.")
    hidden_share: float = Field(0.0, ge=0, lt=1, description="Share of training places hidden from training, drawn by `seed`.")
    hidden_locations: tuple[str, ...] = Field((), description="Ids of places hidden from training; instead of a share.")
    seed: int = Field(0, ge=0, description="Draws the hidden places, and by user the people of each part.")


def split_kinds(city: City) -> list[SplitKind]:
    """The kinds of split that all of a city's visits allow, the one to propose first; chronological where it has no visits yet.

    A published split comes first, because results under it compare with those of others.
    """
    if not city.has("visits"):
        return ["chronological"]
    visits = city.table("visits")
    return [kind for kind, column in _COLUMN_OF.items() if column in visits and visits[column].notna().all()]


def assign_parts(city: City, split: Split) -> np.ndarray:
    """The part of every visit: (visit,) int8 index into `PARTS`, in the order of the visits table.

    Raises:
        ConfigError: If the split needs a column, or by user the people, that the city does not have.
    """
    visits = city.table("visits")
    if split.kind == "published":
        if "split" not in visits or visits["split"].isna().any():
            raise ConfigError(f"City `{city.name}` has no published split on all its visits. Choose a chronological split.")
        codes = visits["split"].map({part: index for index, part in enumerate(PARTS)})
        if codes.isna().any():
            raise ConfigError(
                f"Column `split` of `{city.name}` may say train, valid or test; found {visits['split'][codes.isna()].iloc[0]!r}."
            )
        return codes.to_numpy(np.int8)
    if split.kind == "session":
        if "session_id" not in visits or visits["session_id"].isna().any():
            raise ConfigError(f"City `{city.name}` has no `session_id` on all its visits. Choose a chronological split.")
        order = visits.groupby("user_id", sort=False)["session_id"].transform(lambda ids: pd.factorize(ids)[0])
    elif split.kind == "user":
        person, people = pd.factorize(visits["user_id"], sort=True)
        if len(people) < 2:
            raise ConfigError(f"City `{city.name}` has fewer than two people to divide. Choose a chronological split.")
        order = pd.Series(np.random.default_rng(split.seed).permutation(len(people))[person], visits.index)
    else:
        days = visits["started_at"].dt.tz_convert(city.time_zone).dt.tz_localize(None).dt.normalize()
        order = (days - days.groupby(visits["user_id"], sort=False).transform("min")).dt.days
    last = order.max() if split.kind == "user" else order.groupby(visits["user_id"], sort=False).transform("max")
    train_end, valid_end = split.train_share, split.train_share + split.valid_share
    if valid_end >= 1:
        raise ConfigError(f"Training and validation share add up to {valid_end:.2f}; leave something for the test part.")
    return np.select([order < last * train_end, order < last * valid_end], [0, 1], 2).astype(np.int8)
