"""Edits of a question, on two histories small enough to know by heart."""

import numpy as np
import pytest

from engine.city.samples import Histories, Places
from engine.errors import ScenarioError
from engine.scenarios.query import changed_questions, edit_histories


@pytest.fixture
def histories() -> Histories:
    """Anna was at home, at work and in a cafe on Friday 18:30; Ben at home and at work on Sunday 9:05."""
    zero = np.zeros(3)
    ids = np.array(["home", "work", "cafe"], object)
    places = Places(
        ids=ids,
        x=zero,
        y=zero,
        longitude=zero,
        latitude=zero,
        category=zero.astype(np.int32),
        category_names=("",),
        names=ids,
        closed=zero.astype(bool),
        metric_crs="EPSG:32618",
    )
    return Histories(
        places=places,
        users=np.array(["anna", "ben"], object),
        offsets=np.array([0, 3, 5]),
        location=np.array([0, 1, 2, 0, 1], np.int32),
        minute=np.array([480, 540, 1110, 500, 545], np.int16),
        weekday=np.array([4, 4, 4, 5, 6], np.int8),
        day=np.array([4, 4, 4, 5, 6], np.int32),
        duration_minutes=np.array([30, 400, np.nan, 60, 10], np.float32),
        user=np.array([0, 1], np.int32),
        target=np.array([0, 0], np.int32),
    )


def frozen(histories: Histories) -> list[bytes]:
    return [
        getattr(histories, name).tobytes()
        for name in ("offsets", "location", "minute", "weekday", "day", "duration_minutes", "user")
    ]


def test_no_edit_changes_nothing(histories):
    assert frozen(edit_histories(histories)) == frozen(histories)


def test_the_hour_is_set_on_the_last_visit_only_and_keeps_its_minute(histories):
    edited = edit_histories(histories, hour=8)
    assert edited.minute.tolist() == [480, 540, 8 * 60 + 30, 500, 8 * 60 + 5]
    assert edited.weekday.tolist() == histories.weekday.tolist()


def test_another_weekday_is_the_next_date_with_it(histories):
    edited = edit_histories(histories, weekday=0)
    assert edited.weekday[edited.last].tolist() == [0, 0]
    assert edited.day[edited.last].tolist() == [7, 7], "from Friday day 4 and from Sunday day 6 the next Monday is day 7"
    assert (np.diff(edited.day[:3]) >= 0).all()


def test_the_same_weekday_moves_nothing(histories):
    assert edit_histories(histories, weekday=4).day[2] == 4


def test_another_person_and_one_nobody_knows(histories):
    assert edit_histories(histories, user="ben").user.tolist() == [1, 1]
    assert edit_histories(histories, user=-1).user.tolist() == [-1, -1]


def test_hidden_visits_are_gone_from_every_history(histories):
    edited = edit_histories(histories, hide=[0])
    assert edited.location.tolist() == [1, 2, 1]
    assert edited.offsets.tolist() == [0, 2, 3]
    assert edited.target is histories.target


def test_the_moment_is_set_on_what_is_left_as_the_last_visit(histories):
    anna = edit_histories(histories, hide=[1], hour=23)
    assert anna.location[:2].tolist() == [0, 2]
    assert anna.minute[anna.last].tolist() == [23 * 60 + 30, 23 * 60 + 20], "Ben's last visit is now home, at 8:20"


def test_only_the_latest_visits_stay_and_short_histories_stay_whole(histories):
    assert edit_histories(histories, keep_last=1).location.tolist() == [2, 1]
    assert edit_histories(histories, keep_last=2).location.tolist() == [1, 2, 0, 1]
    assert edit_histories(histories, keep_last=99).location.tolist() == histories.location.tolist()


def test_the_input_never_changes(histories):
    before = frozen(histories)
    edit_histories(histories, hour=3, weekday=2, user=-1, hide=[0], keep_last=1)
    assert frozen(histories) == before


def test_many_questions_keep_what_they_cannot_hide(histories):
    """Ben has no third visit and keeps both; hiding the first two would leave Ben without any, so only Anna loses hers."""
    third = edit_histories(histories, hide=[2], skip_missing=True)
    assert third.location.tolist() == [0, 1, 0, 1]
    assert changed_questions(histories, third).tolist() == [True, False]
    first_two = edit_histories(histories, hide=[0, 1], skip_missing=True)
    assert first_two.location.tolist() == [2, 0, 1]
    assert changed_questions(histories, first_two).tolist() == [True, False]
    with pytest.raises(ScenarioError, match="no visit 0"):
        edit_histories(histories, hide=[-1], skip_missing=True)


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        ({}, [False, False]),
        ({"hour": 9}, [True, False]),
        ({"weekday": 4}, [False, True]),
        ({"user": "ben"}, [True, False]),
        ({"keep_last": 2}, [True, False]),
    ],
)
def test_which_questions_an_edit_changes(histories, edit, changed):
    """Anna's last visit is on Friday at 18:30, of unknown duration; Ben's on Sunday at 9:05."""
    assert changed_questions(histories, edit_histories(histories, **edit)).tolist() == changed


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"hour": 24}, "no hour 24"),
        ({"hour": -1}, "no hour -1"),
        ({"weekday": 7}, "no weekday 7"),
        ({"user": "carl"}, "no person 'carl'"),
        ({"user": 2}, "no person number 2"),
        ({"keep_last": 0}, "at least one visit"),
        ({"hide": [0, 1]}, "Hiding all 2 visits"),
        ({"hide": [2]}, "no visit 3 to hide"),
        ({"hide": [-1]}, "no visit 0 to hide"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(histories, edit, said):
    with pytest.raises(ScenarioError, match=said):
        edit_histories(histories, **edit)


def test_an_empty_batch_stays_empty(histories):
    empty = Histories(
        **{**vars(histories), "offsets": np.zeros(1, np.int64), "user": np.zeros(0, np.int32), "target": None}
        | {name: getattr(histories, name)[:0] for name in ("location", "minute", "weekday", "day", "duration_minutes")}
    )
    assert len(edit_histories(empty, hide=[3], keep_last=2, hour=5, user=-1)) == 0
