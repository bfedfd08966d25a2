"""What a model says of itself: what it lacks, what warned, what it learned, whom it asks, what may be turned."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Missing:
    """Something a model needs that a city lacks."""

    what: str
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.mend}"


@dataclass(frozen=True)
class Warned:
    """A failure detector that fired (or passed): what was measured against which threshold, and what it means."""

    name: str
    fired: bool
    value: float
    threshold: float
    meaning: str


@dataclass(frozen=True, eq=False)
class Embedding:
    """Vectors a model learned for things an analyst knows.

    Attributes:
        title: Name on screen.
        subject: What a row is: `location`, `user`, `cell`, `hour`, ...
        ids: (row,) ids of that subject, in the order of `vectors`.
        vectors: (row, component) float32.
        meaning: One sentence: what the vectors are made of.
    """

    title: str
    subject: str
    ids: np.ndarray
    vectors: np.ndarray
    meaning: str


@dataclass(frozen=True)
class Effect:
    """What an edit needs before this model can answer to it.

    Attributes:
        needs: What has to be done.
        sentence: The same in words.
        note: What the edit does beside what it says; empty where that is nothing.
    """

    needs: Literal["forward", "re-encode", "re-fit", "nothing"]
    sentence: str
    note: str = ""


DEAD_SHARE = 0.01
"""An expert with less than this share of all weight counts as dead."""


@dataclass(frozen=True)
class ExpertSet:
    """Experts a model asks for every visit, and the probes through which its choice is watched and changed.

    The last axis of both probes is "expert", in the order of `names`. The axis "step" is right-aligned: its last entry is the latest
    visit of the history a sample was asked with, the one before it the visit before, and so on; steps before the history begins
    hold zeros. Watch with `engine.probes.watch(model, set.routing, coordinates={"expert": set.names})` around `predict`.

    Attributes:
        title: Name on screen.
        routing: Probe of the weights as they are used, axes (sample, step, expert); zero for experts that were not asked.
        raw: Probe of the router's weights before the choice, same axes; they sum to one.
        names: What the experts are called. Names are hypotheses of whoever wrote the texts: nothing in training ties them to truth.
        texts: The description of each expert, as the router reads it.
        steps: Which visits are routed: the whole window the model reads, or its latest visits only.
        places: Whether the experts answer for what a place is (else: for who the person is).
        selection: One sentence: how many experts are asked, and how they are chosen.
        vectors: Key in `embeddings` of one vector per expert, for how different experts are; empty where there is none.
        output: Probe of what the experts together contribute, axes (sample, step, feature); empty where there is none.
        inputs: Probe of how much each thing the router reads puts into it, axes (sample, step, part); empty where there is none.
        parts: What the router reads, one phrase per entry of the axis "part".
        meaning: One sentence for the screen.
    """

    title: str
    routing: str
    raw: str
    names: tuple[str, ...]
    texts: tuple[str, ...]
    steps: Literal["window", "latest"]
    places: bool
    selection: str
    vectors: str = ""
    output: str = ""
    inputs: str = ""
    parts: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True)
class Knob:
    """A setting of a trained model that may be turned for a what-if, without training.

    Attributes:
        title, meaning: For the form.
        default: The value the model was trained with; its type says what kind of control fits (bool, int, float, str).
        choices: Allowed values of a str; a str without choices is free text.
        lowest, highest: Range of a number.
    """

    title: str
    meaning: str
    default: bool | int | float | str
    choices: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
