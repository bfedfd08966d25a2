"""NextLocMoE where places are few, far, new, in another projection or in another city."""

from dataclasses import replace

import numpy as np
import pytest

from engine.city.samples import VisitLog, build_samples
from engine.city.splits import Split
from engine.models.base import Data
from tests.engine.models.nextlocmoe.conftest import assert_probabilities, tiny
from tests.engine.models.plain_training import train


def with_visits(city, **columns):
    return city.replace(visits=city.table("visits").assign(**columns))


def test_a_city_of_one_place(tiny_city):
    """All is at one spot: the scale is not zero, and the one place has all the probability."""
    only = tiny_city.spatial("locations").iloc[:1].reset_index(drop=True)
    city = with_visits(tiny_city, location_id=only["location_id"].iloc[0]).replace(locations=only)
    data = Data(city, Split(), build_samples(VisitLog.of(city, Split())))
    for head in ("regression", "mdn", "pointer"):
        model = train(tiny(data, head=head, stride=20), data, epochs=1)
        scores = model.predict(data.samples.of_part("test").histories(slice(0, 3))).log_probability
        np.testing.assert_allclose(scores, 0, atol=1e-5)


def test_a_place_far_outside_is_ranked_last_and_a_new_one_is_ranked_at_once(data, histories):
    places = histories.places
    for head in ("regression", "mdn", "pointer"):
        model = tiny(data, head=head)
        fields = ("x", "y", "longitude", "latitude", "category", "names", "closed")
        more = {name: np.r_[getattr(places, name), getattr(places, name)[:1]] for name in fields}
        far = places.x.copy()
        more["x"] = np.r_[far, far.mean() + 5e5]
        edited = replace(places, ids=np.r_[places.ids, ["far away"]].astype(object), **more)
        scores = model.predict(replace(histories, places=edited)).log_probability
        assert_probabilities(scores)
        assert (scores[:, -1] <= scores.min(1) + 1e-6).all()


@pytest.mark.parametrize(
    ("changes", "counts"),
    [({"head": "mdn"}, True), ({"head": "pointer"}, True), ({"head": "mdn", "popularity_term": False}, False), ({}, False)],
    ids=str,
)
def test_a_new_place_counts_as_the_model_says(data, histories, changes, counts):
    """Beside a known place at the very same spot the new one has the popularity of the median place, or none is asked for."""
    from engine.scenarios.apply import apply_to_places
    from engine.scenarios.edits import AddPlace

    model, places = tiny(data, **changes), histories.places
    few = data.samples.of_part("test").histories(slice(0, 1))
    visits = np.where(np.isin(np.arange(len(places)), few.location), 0, data.samples.log.visits_in_training)
    known = int(visits.argmax())
    added = AddPlace(longitude=places.longitude[known], latitude=places.latitude[known], category="Bar", name="New")
    scores = model.predict(replace(few, places=apply_to_places((added,), places))).log_probability[0]
    apart = np.log1p(visits[known]) - np.median(model.popularity.numpy())
    assert scores[known] - scores[-1] == pytest.approx(0.5 * apart if counts else 0.0, abs=2e-3) and apart > 0.1
    assert counts == ("as popular as the median place" in model.effects()["add_place"].sentence)


def test_coordinates_in_another_projection_are_brought_home(model, histories):
    import pyproj

    places = histories.places
    zone = int(places.metric_crs.split(":")[1]) + 1
    x, y = pyproj.Transformer.from_crs(4326, zone, always_xy=True).transform(places.longitude, places.latitude)
    scores = model.predict(replace(histories, places=replace(places, x=x, y=y, metric_crs=f"EPSG:{zone}"))).log_probability
    np.testing.assert_allclose(np.exp(scores), np.exp(model.predict(histories).log_probability), atol=1e-4)


def test_the_same_weights_answer_in_another_city(model, data, tiny_city):
    """A city elsewhere, twice as large, with other ids: in its own frame it is the same city, so the same answers come."""
    locations = tiny_city.spatial("locations").copy()
    renamed = {old: f"there-{old}" for old in locations["location_id"]}
    locations["location_id"] = locations["location_id"].map(renamed)
    locations["geometry"] = locations.geometry.translate(0.5, 0.0)
    visits = tiny_city.table("visits")
    city = tiny_city.replace(locations=locations, visits=visits.assign(location_id=visits["location_id"].map(renamed)))
    other = Data(city, Split(), build_samples(VisitLog.of(city, Split())))
    moved = model.transfer(other)
    assert moved.frame.centre != model.frame.centre and moved.artefacts()["locations"][0].startswith("there-")
    here = model.predict(data.samples.of_part("test").histories(slice(0, 20))).log_probability
    there = moved.predict(other.samples.of_part("test").histories(slice(0, 20))).log_probability
    assert (here.argmax(1) == there.argmax(1)).mean() > 0.8


def test_experts_removed_or_renamed_in_yaml_since_do_not_matter_in_another_city(data, histories, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("experts:\n" + "".join(f"  - {{name: r{number}, text: Person number {number}.}}\n" for number in range(3)))
    model = tiny(data, role_texts=str(path))
    path.write_text("experts:\n" + "".join(f"  - {{name: other{number}, text: Somebody.}}\n" for number in range(2)))
    moved = model.transfer(data)
    assert moved.texts.roles == model.texts.roles
    np.testing.assert_array_equal(moved.predict(histories).log_probability, model.predict(histories).log_probability)


def test_a_memory_of_people_helps_nobody_whom_training_never_saw(tiny_city):
    split = Split(kind="user")
    data = Data(tiny_city, split, build_samples(VisitLog.of(tiny_city, split)))
    model = train(tiny(data, head="pointer", memory_visits=50), data, epochs=1)
    asked = data.samples.of_part("test").histories(slice(0, 20))
    assert len(model.memory_day) and not set(asked.users[asked.user]) & set(model.users)
    strangers = replace(asked, user=np.full_like(asked.user, -1))
    np.testing.assert_array_equal(model.predict(asked).log_probability, model.predict(strangers).log_probability)


def test_nobody_is_known_in_another_city(data, histories):
    """Not even where the same people live there: who asks makes no difference to the answer."""
    model = tiny(data, head="pointer", memory_visits=50)
    moved = model.transfer(data)
    assert moved.users == [] and not len(moved.memory_day)
    strangers = replace(histories, user=np.full(len(histories), -1, np.int32))
    answer = moved.predict(histories).log_probability
    np.testing.assert_array_equal(answer, moved.predict(strangers).log_probability)
    assert np.abs(np.exp(answer) - np.exp(model.predict(histories).log_probability)).max() > 1e-4
