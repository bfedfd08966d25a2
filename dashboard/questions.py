"""A question (where did this person go next?) and its answers, as tables and sentences for the screen. No Streamlit here.

Everything follows the `Predictor` protocol: a model and a frequency count are asked the same way.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from dashboard import wording
from engine.city.samples import Histories, Places, Samples
from engine.city.splits import PARTS
from engine.evaluation.ranking import rank_of, top_of
from engine.models.answers import Predictor
from engine.scenarios.query import edit_histories

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNKNOWN_PERSON = "\u2014 a person nobody knows"
"""Stands for user -1 where people are chosen by id."""


@dataclass(frozen=True)
class QueryEdit:
    """What is changed about a question; the defaults change nothing.

    Attributes:
        hour: Local hour of the last visit.
        weekday: Local weekday of the last visit, 0 is Monday.
        user: Id of the person who asks instead, `UNKNOWN_PERSON` for nobody's.
        hide: Positions in the history, 0 is the oldest visit.
        keep_last: How many of the latest visits stay.
    """

    hour: int | None = None
    weekday: int | None = None
    user: str | None = None
    hide: tuple[int, ...] = ()
    keep_last: int | None = None

    def __bool__(self) -> bool:
        return self != QueryEdit()

    def key(self) -> str:
        """The edit as text, the same for equal edits."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_key(cls, key: str) -> "QueryEdit":
        """The edit `key` was made of."""
        values = json.loads(key)
        return cls(**(values | {"hide": tuple(values["hide"])}))

    def apply(self, histories: Histories) -> Histories:
        """The edited question.

        Raises:
            ScenarioError: If the edit does not fit.
        """
        return edit_histories(
            histories,
            hour=self.hour,
            weekday=self.weekday,
            user=-1 if self.user == UNKNOWN_PERSON else self.user,
            hide=self.hide,
            keep_last=self.keep_last,
        )

    def describe(self) -> str:
        """The edit in words, names as Markdown."""
        parts = []
        if self.hour is not None:
            parts.append(f"at {self.hour} h")
        if self.weekday is not None:
            parts.append(f"on a {WEEKDAYS[self.weekday]}")
        if self.user is not None:
            parts.append(
                "as a person nobody knows" if self.user == UNKNOWN_PERSON else f"as person {wording.literal(self.user, 24)}"
            )
        if self.hide:
            parts.append(f"without {wording.counted(len(self.hide), 'visit')}")
        if self.keep_last is not None:
            parts.append(f"with only the last {wording.counted(self.keep_last, 'visit')}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Reply:
    """One predictor's answer to one question.

    Attributes:
        predictor, title: Its name and its name on screen.
        probability: (location,) float32; 0 where a place cannot be answered.
        rank: Rank of the truth from 1, inf where it cannot be answered.
        top: (k,) places, best first.
        normalised: Whether the values are probabilities in earnest.
    """

    predictor: str
    title: str
    probability: np.ndarray = field(repr=False)
    rank: float
    top: np.ndarray
    normalised: bool

    @property
    def entropy_bits(self) -> float:
        """Entropy of the answer; 0 is certainty, log2 of the number of places is none at all."""
        held = self.probability[self.probability > 0].astype(np.float64)
        return float(-(held * np.log2(held)).sum())

    @property
    def effective_places(self) -> float:
        """Two to the entropy: among how many equally likely places the answer is as uncertain."""
        return float(2**self.entropy_bits)


def ask(predictors: Sequence[Predictor], samples: Samples, index: int, edit: QueryEdit, top_k: int = 20) -> list[Reply]:
    """Puts one question, edited, to several predictors.

    Args:
        predictors: Models and baselines.
        samples: All samples of the run.
        index: Position of the sample among them.
        edit: What is changed about the question.
        top_k: Length of the lists.

    Raises:
        ScenarioError: If the edit does not fit the question.
    """
    histories = edit.apply(samples.histories(np.array([index])))
    truth = samples.true_location[[index]]
    replies = []
    for predictor in predictors:
        prediction = predictor.predict(histories)
        scores = prediction.log_probability
        top, _ = top_of(scores, min(top_k, scores.shape[1]))
        replies.append(
            Reply(
                predictor.name,
                predictor.title,
                np.exp(scores[0]).astype(np.float32),
                float(rank_of(scores, truth)[0]),
                top[0][top[0] >= 0],
                prediction.normalised,
            )
        )
    return replies


def steps_of(samples: Samples) -> tuple[str, pd.DataFrame]:
    """The steps one may look at: those of the test part, or of the latest part that has any.

    Returns:
        The part, and one row per sample ordered by user and time: index (position in `samples`), row (of the target in the visits
        table), user, step (from 0 per user), truth (location), when (local, naive).
    """
    for part in reversed(PARTS):
        chosen = np.flatnonzero(samples.part == PARTS.index(part))
        if len(chosen):
            break
    log, target = samples.log, samples.target[chosen]
    local = pd.Series(log.started_at[target]).dt.tz_localize("UTC").dt.tz_convert(log.time_zone).dt.tz_localize(None)
    frame = pd.DataFrame(
        {"index": chosen, "row": log.row[target], "user": log.users[log.user[target]], "truth": log.location[target], "when": local}
    )
    frame["order"] = log.started_at[target]
    frame = frame.sort_values(["user", "order", "index"], kind="stable", ignore_index=True).drop(columns="order")
    frame["step"] = frame.groupby("user", sort=False).cumcount()
    return part, frame


def history_of(samples: Samples, index: int, edit: QueryEdit) -> pd.DataFrame:
    """The visits the predictors see, oldest first.

    Returns:
        One row per visit: position (in the unedited history), location, id, name, category, longitude, latitude, when (words; of
        the last visit as the edit has it).
    """
    log = samples.log
    steps = np.arange(samples.start[index], samples.target[index])
    kept = np.setdiff1d(np.arange(len(steps)), edit.hide)
    kept = kept[-edit.keep_last :] if edit.keep_last is not None else kept
    places, location = log.places, log.location[steps[kept]]
    local = pd.Series(log.started_at[steps[kept]]).dt.tz_localize("UTC").dt.tz_convert(log.time_zone)
    when = [f"{stamp:%a} {stamp.day} {stamp:%b %H:%M}" for stamp in local]
    if len(when) and (edit.hour is not None or edit.weekday is not None):
        stamp = local.iloc[-1]
        day = f"{stamp:%A}" if edit.weekday is None else WEEKDAYS[edit.weekday]
        when[-1] = f"{day[:3]} {stamp.hour if edit.hour is None else edit.hour:02d}:{stamp:%M} (edited)"
    return pd.DataFrame({"position": kept, "location": location, "when": when}).join(describe_places(places, location))


def describe_places(places: Places, chosen: np.ndarray) -> pd.DataFrame:
    """Id, name, category, longitude and latitude of places, in the order given."""
    categories = np.array([*places.category_names, ""], object)
    return pd.DataFrame(
        {
            "id": places.ids[chosen],
            "name": places.names[chosen],
            "category": categories[places.category[chosen]],
            "longitude": places.longitude[chosen],
            "latitude": places.latitude[chosen],
        }
    )


def ranking_table(reply: Reply, places: Places, here: int, truth: int, k: int) -> pd.DataFrame:
    """The top of an answer.

    Args:
        reply: The answer.
        places: The axis "location".
        here: Place of the last visit; distances from it.
        truth: Where the person went.
        k: Rows.

    Returns:
        Best first: rank, location, id, name, category, longitude, latitude, probability, from_here_m, from_truth_m, is_truth.
    """
    top = reply.top[:k]
    table = describe_places(places, top)
    table.insert(0, "location", top)
    table.insert(0, "rank", np.arange(1, len(top) + 1))
    table["probability"] = reply.probability[top].astype(float)
    table["from_here_m"] = distance_m(places, top, here)
    table["from_truth_m"] = distance_m(places, top, truth)
    table["is_truth"] = top == truth
    return table


def distance_m(places: Places, chosen: np.ndarray, other: int) -> np.ndarray:
    """(n,) metres from places to one place, in the city's CRS."""
    return np.hypot(places.x[chosen] - places.x[other], places.y[chosen] - places.y[other])


def rank_words(rank: float) -> str:
    """A rank in words."""
    return f"rank {rank:,.0f}" if np.isfinite(rank) else "no rank at all"


def answer_sentence(replies: Sequence[Reply], places: Places, truth: int, edit: QueryEdit, reference: str | None = None) -> str:
    """The page's answer: the first guess, where the person went, and what a baseline said; names as Markdown.

    Args:
        replies: The model's answer first, then the baselines'.
        places: The axis "location".
        truth: Where the person went.
        edit: Said first when the question was edited.
        reference: Name of the baseline to compare with. It is chosen over all steps: the luckiest of many on a single step would
            always look good.
    """
    model = replies[0]
    if not len(model.top):
        return f"{wording.literal(model.title)} cannot answer this question: none of the places it knows can be ranked."
    first = int(model.top[0])
    share = wording.percent(float(model.probability[first]))
    asked = f"Asked {edit.describe()}: top guess" if edit else "Top guess"
    sentence = f"{asked} **{wording.literal(places.names[first], 60)}**, {share}; "
    if first == truth:
        sentence += "that is where the person went"
    else:
        away = wording.metres(float(distance_m(places, np.array([truth]), first)[0]))
        rank = f"to {rank_words(model.rank)}" if np.isfinite(model.rank) else "to a place it cannot rank"
        sentence += f"the person went {rank}, {away} away"
    baseline = next((reply for reply in replies[1:] if reply.predictor == reference), None)
    if baseline is not None:
        had = f"had it at rank {baseline.rank:,.0f}" if np.isfinite(baseline.rank) else "could not rank it"
        sentence += f"; the baseline {wording.literal(baseline.title)} {had}"
    return sentence + "."


def best_baseline(steps: pd.DataFrame, model: str, among: Sequence[str]) -> str | None:
    """The baseline with the highest mean reciprocal rank over all steps; the first asked where the run has no predictions.

    Args:
        steps: From `cached.question_steps`, with columns `rank.<predictor>`.
        model: The model's name, left out.
        among: Names of the predictors that are asked.
    """
    known = [name for name in among if name != model and f"rank.{name}" in steps]
    if known:
        return max(known, key=lambda name: float((1 / steps[f"rank.{name}"]).mean()))
    return next((name for name in among if name != model), None)


def why_not(reply: Reply, samples: Samples, index: int, truth: int) -> list[str]:
    """Why the truth was not the first guess, as facts: rank and gap, whether it is known, and what stands above it."""
    log, places = samples.log, samples.log.places
    name = f"**{wording.literal(places.names[truth], 60)}**"
    visits = int(log.visits_in_training[truth])
    facts = []
    if np.isfinite(reply.rank):
        probability = float(reply.probability[truth])
        if len(reply.top) and reply.top[0] != truth:
            first = float(reply.probability[reply.top[0]])
            gap = f"{first / probability:,.3g} times less than the first guess" if probability > 0 else "less than the first guess"
            facts.append(f"{name} stands at rank {reply.rank:,.0f} with {wording.percent(probability)}: {gap}.")
        else:
            facts.append(f"{name} is the first guess, with {wording.percent(probability)}.")
    else:
        facts.append(f"{name} cannot be ranked by {wording.literal(reply.title)}: it is outside of what it may answer.")
    if log.hidden[truth]:
        facts.append("The place was hidden from training: only its position can speak for it.")
    elif not log.seen[truth]:
        facts.append("Nobody visited it in the training part: only its position can speak for it.")
    else:
        people = len(np.unique(log.user[log.training()][log.location[log.training()] == truth]))
        facts.append(
            f"It is known from training: {wording.counted(visits, 'visit')} by {wording.counted(people, 'person', 'people')}, "
            f"{_popularity(log.visits_in_training, truth)}."
        )
    history = log.location[samples.start[index] : samples.target[index]]
    user = log.user[samples.target[index]]
    own = int(((log.user == user) & (log.part == 0) & (log.location == truth) & ~log.hidden[log.location]).sum())
    times = int((history == truth).sum())
    facts.append(
        f"The person was there {wording.counted(times, 'time')} in this history of {wording.counted(len(history), 'visit')} "
        f"and {wording.counted(own, 'time')} in training: "
        f"{'a return' if times or own else 'an exploration'}."
    )
    similar = _similar_above(reply, places, truth)
    if similar is not None:
        rank, place, metres = similar
        facts.append(
            f"The same kind of place stands above it: **{wording.literal(places.names[place], 60)}** at rank {rank:,}, "
            f"{wording.metres(metres)} from the truth; category {wording.literal(places.category_names[places.category[place]])}."
        )
    return facts


def _popularity(visits: np.ndarray, place: int) -> str:
    seen = visits[visits > 0]
    share = float((seen < visits[place]).mean())
    return f"more than {wording.percent(share, 2)} of the places in training"


def _similar_above(reply: Reply, places: Places, truth: int) -> tuple[int, int, float] | None:
    category = places.category_names[places.category[truth]]
    above = [int(place) for place in reply.top if place != truth][: int(min(reply.rank - 1, len(reply.top)))]
    alike = [place for place in above if places.category[place] == places.category[truth]]
    if not alike or not category:
        return None
    rank = int(np.flatnonzero(reply.top == alike[0])[0]) + 1
    return rank, alike[0], float(distance_m(places, np.array([alike[0]]), truth)[0])


def shift_table(before: Reply, after: Reply, places: Places, truth: int, k: int) -> pd.DataFrame:
    """What an edit did to the ranking.

    Returns:
        Places of either top k, in the order after the edit: location, name, category, before, after (probabilities), rank_before,
        rank_after (NaN below the lists), change, is_truth.
    """
    union = np.array(list(dict.fromkeys([*after.top[:k].tolist(), *before.top[:k].tolist(), truth])), int)
    ranks = [{int(place): rank + 1 for rank, place in enumerate(reply.top)} for reply in (before, after)]
    table = describe_places(places, union)[["id", "name", "category"]]
    table.insert(0, "location", union)
    table["before"] = before.probability[union].astype(float)
    table["after"] = after.probability[union].astype(float)
    table["change"] = table["after"] - table["before"]
    for column, known, reply in (("rank_before", ranks[0], before), ("rank_after", ranks[1], after)):
        table[column] = [known.get(int(place), reply.rank if place == truth else np.nan) for place in union]
    table["rank_after"] = table["rank_after"].replace(np.inf, np.nan)
    table["rank_before"] = table["rank_before"].replace(np.inf, np.nan)
    table["is_truth"] = union == truth
    return table


def moved_share(before: Reply, after: Reply) -> float:
    """The share of the probability that lies elsewhere after an edit (total variation distance), 0 to 1."""
    return float(np.abs(after.probability.astype(np.float64) - before.probability).sum() / 2)
