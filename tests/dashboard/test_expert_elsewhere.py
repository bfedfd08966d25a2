"""What is said of the best baseline in another city: who counted there, who looked at the window alone, and who is level."""

import pandas as pd

from dashboard.views.expert_elsewhere import best_words
from dashboard.wording import plain


def words(*rows: tuple[str, str, float]) -> str:
    return plain(best_words(pd.DataFrame(rows, columns=["predictor", "title", "value"]))).replace("\u202f", " ")


def test_only_who_learned_there_is_said_to_have_counted_there() -> None:
    counting, window = ("user_markov", "Personal Markov"), ("window_frequency", "Most frequent in the window")
    assert words((*counting, 0.5), (*window, 0.4)) == "Personal Markov, which counted there, has 50.0 %."
    assert words((*counting, 0.3), (*window, 0.4)) == "Most frequent in the window, which looks at the window alone, has 40.0 %."


def test_baselines_that_are_level_are_all_named() -> None:
    said = words(("popularity", "Popularity", 0.4), ("last_place", "Stay put", 0.1), ("window_frequency", "Window", 0.4))
    assert said == "Popularity, which counted there, and Window, which looks at the window alone, have 40.0 %."
