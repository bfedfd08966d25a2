"""Lines of Python that ask a run's experts what the Experts page asks them."""

from collections.abc import Sequence

from dashboard import python_lines
from dashboard.cached.expert_data import EFFECT_QUESTIONS, MOST_QUESTIONS, Asked, AskedOnce

_ROUTE = "from engine.evaluation.routed import latest_visits, route"


def of_question(once: AskedOnce, key: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about the weights of one question, called `routed`."""
    return python_lines.of_model(
        once.run_id,
        f"asked = np.array([{once.index}])",
        f"routed = route(run.model, run.data.samples, asked)[{key!r}]",
        *lines,
        imports=["import numpy as np", "from engine.evaluation.routed import route", *imports],
    )


def of_slice(over: Asked, key: str, *lines: str, imports: Sequence[str] = ()) -> str:
    """Lines about the weights of the questions of a slice, called `routed`, and the latest visit of each, `visits`."""
    chosen, needed = [], []
    if over.group is not None:
        name, group = over.group
        chosen = [
            f"labels = slice_labels(run.data.samples.of_part(part), run.data.city)[{name!r}].astype(object) == {group!r}",
            "inside = dict(zip(np.flatnonzero(run.data.samples.part == PARTS.index(part)), labels))",
            "steps = steps[steps['index'].map(inside).astype(bool)]",
        ]
        needed = ["from engine.city.splits import PARTS", "from engine.evaluation.slices import slice_labels"]
    return python_lines.of_model(
        over.run_id,
        "part, steps = steps_of(run.data.samples)",
        *chosen,
        _spread(MOST_QUESTIONS),
        f"routed = route(run.model, run.data.samples, asked)[{key!r}]",
        "visits = latest_visits(run.data.samples, asked)",
        *lines,
        imports=["import numpy as np", "from dashboard.questions import steps_of", _ROUTE, *needed, *imports],
    )


def of_effects(run_id: str, key: str) -> str:
    """Lines that force and silence every expert."""
    return python_lines.of_model(
        run_id,
        "part, steps = steps_of(run.data.samples)",
        _spread(EFFECT_QUESTIONS),
        f"effects = expert_effects(run.model, run.model.experts()[{key!r}], run.data.samples.histories(asked))",
        imports=[
            "import numpy as np",
            "from dashboard.questions import steps_of",
            "from engine.scenarios.expert_effects import expert_effects",
        ],
    )


def _spread(most: int) -> str:
    """At most so many questions, at equal steps."""
    return f"asked = steps['index'].to_numpy()[np.unique(np.linspace(0, len(steps) - 1, min(len(steps), {most})).astype(int))]"
