"""A config class becomes widgets and the same config class again."""

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from streamlit.testing.v1 import AppTest

from dashboard import forms
from engine.city.splits import Split
from engine.models import MODELS
from engine.runs import RunRequest


class Sampled(BaseModel):
    """One field of every kind a config may have."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(8, ge=2, lt=64, title="Size", description="How many.", json_schema_extra={"unit": "places"})
    rate: float = Field(1e-4, gt=0, le=0.1, description="Step size.")
    kind: Literal["a", "b"] = "b"
    several: tuple[Literal["x", "y", "z"], ...] = ("x", "z")
    on: bool = True
    name: str = ""
    limit: int | None = None
    ids: tuple[str, ...] = ("p1", "p2")
    sides: tuple[int, ...] = (3, -1)
    split: Split = Split()

    @model_validator(mode="after")
    def _check(self) -> "Sampled":
        if self.size == 13:
            raise ValueError("size may not be 13")
        return self


def page(start: BaseModel, shown: dict) -> AppTest:
    """A page with nothing but the form; what it returns lands in `shown`."""

    def script(forms, start, shown) -> None:
        shown["config"] = forms.draw(start, "form")

    return AppTest.from_function(script, kwargs={"forms": forms, "start": start, "shown": shown}, default_timeout=30).run()


def presets() -> list:
    found = []
    for name, model in MODELS.items():
        found += [pytest.param(config, id=f"{name}-{preset}") for preset, config in model.Config.presets().items()]
    return found


@pytest.mark.parametrize("start", [*presets(), Sampled(), Split(), Split(kind="session", hidden_share=0.1)])
def test_an_untouched_form_gives_back_the_config_it_started_from(start: BaseModel) -> None:
    shown: dict = {}
    at = page(start, shown)
    assert not at.exception
    assert shown["config"] == start
    assert not at.error


def test_named_fields_of_a_request_round_trip() -> None:
    start, shown = RunRequest(model="m", city="c", seed=3), {}

    def script(forms, start, shown) -> None:
        shown["config"] = forms.draw(start, "form", fields=("name", "seed", "device"))

    at = AppTest.from_function(script, kwargs={"forms": forms, "start": start, "shown": shown}).run()
    assert shown["config"] == start
    next(box for box in at.number_input if box.label == "Seed").set_value(7).run()
    assert shown["config"].seed == 7


class TestOneForm:
    def test_edits_arrive_in_the_config(self) -> None:
        shown: dict = {}
        at = page(Sampled(), shown)
        at.number_input(key="form.size").set_value(12)
        at.selectbox(key="form.kind").select("a")
        at.toggle(key="form.on").set_value(False)
        at.text_input(key="form.ids").set_value("p9, p8")
        at.number_input(key="form.split.history_days").set_value(9)
        at.run()
        config = shown["config"]
        assert (config.size, config.kind, config.on, config.ids, config.split.history_days) == (12, "a", False, ("p9", "p8"), 9)
        assert forms.changed(config, Sampled())["size"] == 12
        assert "rate" not in forms.changed(config, Sampled())

    @pytest.mark.parametrize("typed", ["²", "--5", "1, x", "9" * 5_000])
    def test_what_is_no_whole_number_is_said_in_a_sentence(self, typed: str) -> None:
        shown: dict = {}
        at = page(Sampled(), shown)
        at.text_input(key="form.sides").set_value(typed).run()
        assert not at.exception
        assert shown["config"] is None
        assert at.error

    def test_what_contradicts_is_said_in_a_sentence(self) -> None:
        shown: dict = {}
        at = page(Sampled(), shown)
        at.number_input(key="form.size").set_value(13).run()
        assert shown["config"] is None
        assert any("size may not be 13" in item.value for item in at.error)

    def test_titles_have_units_and_help_has_the_range(self) -> None:
        at = page(Sampled(), {})
        size = at.number_input(key="form.size")
        assert size.label == "Size (places)"
        assert "From 2 to 63." in size.help
        assert (size.min, size.max) == (2, 63)

    def test_at_most_five_controls_stand_open(self) -> None:
        at = page(Sampled(), {})
        (more,) = at.expander
        assert more.label == f"More settings ({len(Sampled.model_fields) - forms.VISIBLE})"


def test_every_field_of_every_config_has_a_widget() -> None:
    for model in MODELS.values():
        for name, field in model.Config.model_fields.items():
            assert forms.control(name, field).title


def test_a_field_nobody_can_draw_is_our_mistake() -> None:
    class Odd(BaseModel):
        thing: dict[str, int] = {}

    with pytest.raises(TypeError, match="No widget for field `thing`"):
        forms.control("thing", Odd.model_fields["thing"])


def test_refusals_name_the_field_by_its_title_and_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        Sampled(size=1)
    (line,) = forms.sentences(caught.value, Sampled)
    assert line.startswith("Size (places): should be greater than or equal to 2") and "It is 1." in line


@pytest.mark.parametrize("name", list(MODELS))
def test_the_groups_of_a_form_name_every_field_they_hold_once(name: str) -> None:
    config = MODELS[name].Config
    named = [field for fields in config.form_groups.values() for field in fields]
    assert len(named) == len(set(named)) and set(named) <= set(config.model_fields)


@pytest.mark.parametrize("name", list(MODELS))
def test_no_model_leaves_a_setting_without_a_group(name: str) -> None:
    """Over forty settings under one title would be a list nobody reads."""
    config = MODELS[name].Config
    named = {field for fields in config.form_groups.values() for field in fields}
    assert named == set(config.model_fields)
    assert max(len(fields) for fields in config.form_groups.values()) <= 13


def test_a_grouped_form_shows_every_field_in_its_group_and_once() -> None:
    shown: dict = {}
    start = MODELS["calliper"].Config.preset("tiny")
    at = page(start, shown)
    titles = [item.label for item in at.expander]
    assert titles[0].startswith("Places as vectors (") and not [title for title in titles if title.startswith("More settings")]
    counts = [int(title.rsplit("(", 1)[1].rstrip(")")) for title in titles]
    assert sum(counts) == len(type(start).model_fields) - forms.VISIBLE
    assert shown["config"] == start
