"""Edits of a question: another moment, another person, fewer visits. They never change the histories they are given."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from engine.city.samples import Histories
from engine.errors import ScenarioError


def edit_histories(
    histories: Histories,
    *,
    hour: int | None = None,
    weekday: int | None = None,
    user: str | int | None = None,
    hide: Collection[int] = (),
    keep_last: int | None = None,
    skip_missing: bool = False,
) -> Histories:
    """The same questions under edits; arguments left at their default change nothing.

    Visits are hidden first, then all but the latest are dropped, then the moment is set on what is the last visit by then. The
    moment of a question is the local time of its last visit: earlier visits keep theirs, the minute past the hour stays, and
    another weekday moves the last visit to the next date with that weekday (at most six days on), so that histories stay in the
    order of their days. Within one day an earlier hour may come to lie before the visit before it; nothing is sorted again.

    Args:
        histories: A packed batch; the edits apply to every sample in it.
        hour: Local hour of the last visit, 0-23.
        weekday: Local weekday of the last visit, 0 is Monday.
        user: Id of the person who asks, or their index; -1 is a person nobody knows.
        hide: Positions within each history, 0 is the oldest visit.
        keep_last: How many of the latest visits stay, at least 1; shorter histories stay as they are.
        skip_missing: Whether histories without a visit at a hidden position, or left without any, keep what they have: for an edit
            that is put to many questions at once. Otherwise that is refused.

    Returns:
        New histories; targets and places are those of the input.

    Raises:
        ScenarioError: If an edit is out of range, hides every visit, or names a person the city does not have.
    """
    edited = _without(histories, hide, skip_missing) if len(hide) else histories
    if keep_last is not None:
        if keep_last < 1:
            raise ScenarioError(f"A question needs at least one visit; keeping the last {keep_last} leaves none.")
        edited = _kept(edited, np.arange(len(edited.location)) >= np.repeat(edited.offsets[1:] - keep_last, edited.lengths))
    if hour is not None or weekday is not None:
        edited = _at(edited, hour, weekday)
    if user is not None:
        edited = replace(edited, user=np.full(len(edited), _user_index(edited, user), np.int32))
    return edited


def changed_questions(before: Histories, after: Histories) -> np.ndarray:
    """(sample,) bool: questions whose history, moment or person is not the same after edits."""
    changed = (before.lengths != after.lengths) | (before.user != after.user)
    owner = np.repeat(np.arange(len(before)), before.lengths)
    aligned = [~np.repeat(changed, questions.lengths) for questions in (before, after)]
    differs = np.zeros(int(aligned[0].sum()), bool)
    for name in ("location", "minute", "weekday", "day", "duration_minutes"):
        first, second = (getattr(one, name)[steps] for one, steps in zip((before, after), aligned, strict=True))
        differs |= (first != second) & ((first == first) | (second == second))  # an unknown duration stays unknown
    changed[owner[aligned[0]][differs]] = True
    return changed


def _without(histories: Histories, hide: Collection[int], skip_missing: bool) -> Histories:
    positions = np.unique(np.asarray(list(hide), np.int64))
    shortest = int(histories.lengths.min(initial=np.iinfo(np.int64).max)) if len(histories) else 0
    if len(histories) and (positions[0] < 0 or (positions[-1] >= shortest and not skip_missing)):
        wrong = positions[0] if positions[0] < 0 else positions[-1]
        raise ScenarioError(f"There is no visit {wrong + 1} to hide; the history has {shortest}. Choose visits 1 to {shortest}.")
    step = np.arange(len(histories.location)) - np.repeat(histories.offsets[:-1], histories.lengths)
    hidden = np.isin(step, positions)
    left = histories.lengths - np.bincount(np.repeat(np.arange(len(histories)), histories.lengths), hidden, len(histories))
    if (left == 0).any() and not skip_missing:
        raise ScenarioError(f"Hiding all {shortest} visits leaves nothing to ask about; keep at least one.")
    return _kept(histories, ~hidden | np.repeat(left == 0, histories.lengths))


def _kept(histories: Histories, mask: np.ndarray) -> Histories:
    before = np.concatenate([[0], np.cumsum(mask)])
    return replace(
        histories,
        offsets=before[histories.offsets].astype(np.int64),
        location=histories.location[mask],
        minute=histories.minute[mask],
        weekday=histories.weekday[mask],
        day=histories.day[mask],
        duration_minutes=histories.duration_minutes[mask],
    )


def _at(histories: Histories, hour: int | None, weekday: int | None) -> Histories:
    last = histories.last
    if (histories.lengths == 0).any():
        raise ScenarioError("A history without visits has no moment that could be changed.")
    minute, day, weekdays = histories.minute.copy(), histories.day.copy(), histories.weekday.copy()
    if hour is not None:
        if not 0 <= hour <= 23:
            raise ScenarioError(f"There is no hour {hour}; choose 0 to 23.")
        minute[last] = hour * 60 + minute[last] % 60
    if weekday is not None:
        if not 0 <= weekday <= 6:
            raise ScenarioError(f"There is no weekday {weekday}; choose 0 (Monday) to 6 (Sunday).")
        day[last] += (weekday - weekdays[last].astype(int)) % 7
        weekdays[last] = weekday
    return replace(histories, minute=minute, day=day, weekday=weekdays)


def _user_index(histories: Histories, user: str | int) -> int:
    if isinstance(user, str):
        found = np.flatnonzero(histories.users == user)
        if not len(found):
            raise ScenarioError(f"The city has no person {user[:80]!r}. Choose one of its {len(histories.users):,} people.")
        return int(found[0])
    if not -1 <= user < len(histories.users):
        raise ScenarioError(f"There is no person number {user}; the city has {len(histories.users):,}, and -1 is one nobody knows.")
    return int(user)
