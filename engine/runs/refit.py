"""Training again on an edited city: for edits that a trained model cannot answer to, because they only matter while it learns."""

from dataclasses import dataclass

from engine import store
from engine.city.city import City
from engine.errors import ScenarioError
from engine.models.answers import Predictor
from engine.runs.jobs import submit
from engine.runs.run import Run
from engine.scenarios.apply import apply_to_city
from engine.scenarios.compare import effect_of
from engine.scenarios.edits import CITY_EDITS, AnyEdit
from engine.scenarios.scenario import Scenario

CHEAP_SECONDS = 1800.0
"""What took no longer than this the first time is offered again by a click."""


@dataclass(frozen=True)
class Refit:
    """What training again would be.

    Attributes:
        edits: The edits that need it.
        seconds: How long the run took that it repeats; None where that is not known (it was resumed).
    """

    edits: tuple[AnyEdit, ...]
    seconds: float | None

    @property
    def is_cheap(self) -> bool:
        """Whether it is quick enough to be offered without a second thought."""
        return self.seconds is not None and self.seconds <= CHEAP_SECONDS


def plan_refit(run_id: str, scenario: Scenario, model: Predictor) -> Refit | None:
    """What training again on the edited city would take; None where no edit needs it.

    Args:
        run_id: The run that was asked.
        scenario: The edits.
        model: The run's model, which says what each edit needs.

    Raises:
        RunError: If there is no such run.
    """
    needing = tuple(edit for edit in scenario.edits if isinstance(edit, CITY_EDITS) and effect_of(edit, model).needs == "re-fit")
    if not needing:
        return None
    summary = Run.open(run_id).summary
    is_known = summary.attempt == 1 and summary.started_at is not None and summary.ended_at is not None
    seconds = (summary.ended_at - summary.started_at).total_seconds() if is_known else None  # type: ignore[operator]
    return Refit(needing, seconds)


def refit(run_id: str, scenario: Scenario) -> str:
    """Saves the edited city beside the original and queues the same training on it.

    Returns:
        The id of the new run: the settings, split and seed of `run_id`, on the edited city.

    Raises:
        ScenarioError: If the scenario edits no place, or does not fit the run's city.
        MobiscopeError: As in `submit`.
    """
    if not any(isinstance(edit, CITY_EDITS) for edit in scenario.edits):
        raise ScenarioError("The scenario edits no place, so training again would give the same model. Edit the city first.")
    run = Run.open(run_id)
    edited = _saved(apply_to_city(scenario, run.city()), scenario)
    name = f"{run.summary.name}, {scenario.name}"[:120]
    return submit(run.again(city=edited, name=name))


def _saved(city: City, scenario: Scenario) -> str:
    """The slug of the edited city; one that is there already is kept, since equal edits give an equal city."""
    slug = f"{store.slug(city.name)[:48]}-{scenario.digest[:8]}"
    folder = store.cities_folder() / slug
    if not (folder / "city.json").is_file() or City.open(folder).fingerprint != city.fingerprint:
        city.save(folder)
    return slug
