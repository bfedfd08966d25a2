"""Pictures of embeddings: deterministic, scored, cached, and honest about what was left out."""

import time

import numpy as np
import pytest

from engine import projection
from engine.errors import MobiscopeError
from engine.projection import nearest, project_embedding, purity


def clusters(points: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three well separated directions in eight dimensions, a third of the points each."""
    random = np.random.default_rng(seed)
    labels = np.arange(points) % 3
    return np.eye(8)[labels] * 5 + random.normal(0, 0.1, (points, 8)), labels


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_clusters_stay_together_and_the_scores_say_so(method) -> None:
    values, labels = clusters()
    shown = project_embedding(values, method)
    own, chance = purity(shown.position, labels, neighbours=5)
    assert own > 0.95 > chance and shown.trustworthiness > 0.7 and 0 < shown.neighbour_overlap <= 1


def test_the_second_look_comes_from_the_cache_and_is_the_same(monkeypatch) -> None:
    values, _ = clusters()
    first = project_embedding(values, "pca")
    monkeypatch.setattr(projection, "_lay_out", lambda *_: pytest.fail("laid out twice"))
    assert np.array_equal(first.position, project_embedding(values, "pca").position)


def test_one_changed_value_is_another_picture() -> None:
    values, _ = clusters()
    changed = values.copy()
    changed[0, 0] += 1
    assert not np.array_equal(project_embedding(values, "pca").position, project_embedding(changed, "pca").position)


def test_too_many_points_are_sampled_by_stratum(monkeypatch) -> None:
    monkeypatch.setattr(projection, "MOST_POINTS", 30)
    values, labels = clusters(90)
    shown = project_embedding(values, "pca", strata=labels)
    assert shown.is_sampled and shown.total == 90 and list(np.bincount(labels[shown.chosen])) == [10, 10, 10]


def test_duplicates_do_not_break_the_scores() -> None:
    shown = project_embedding(np.ones((20, 4)) * np.arange(20)[:, None].clip(0, 3), "pca")
    assert np.isfinite(shown.neighbour_overlap)


@pytest.mark.parametrize(("values", "words"), [(np.zeros((2, 3)), "at least 5"), (np.full((9, 3), np.nan), "not finite")])
def test_what_cannot_be_drawn_is_refused_in_a_sentence(values, words) -> None:
    with pytest.raises(MobiscopeError, match=words):
        project_embedding(values, "pca")


def test_the_nearest_of_a_point_leave_itself_out() -> None:
    values, labels = clusters()
    rows, similarity = nearest(values, 0, 5)
    assert 0 not in rows and (labels[rows] == labels[0]).all() and (np.diff(similarity) <= 0).all()


@pytest.mark.slow
def test_umap_is_deterministic() -> None:
    values, _ = clusters(80)
    first = projection._lay_out(values.astype(np.float32), "umap", 0, 15)
    assert np.array_equal(first, projection._lay_out(values.astype(np.float32), "umap", 0, 15))


def test_a_picture_computed_in_the_background_is_the_one_computed_here() -> None:
    values, _ = clusters()
    ticket = projection.start_projection(values, "pca")
    until = time.monotonic() + 60
    while not ticket.is_ready and time.monotonic() < until:
        ticket.progress()
        time.sleep(0.05)
    background = project_embedding(values, "pca").position
    ticket.path.unlink()
    assert np.array_equal(background, project_embedding(values, "pca").position)


def test_a_background_failure_is_told(monkeypatch, tmp_path) -> None:
    path = tmp_path / "picture.npz"
    np.savez(tmp_path / "picture.task.npz", values=np.zeros((9, 2)), settings="{}")
    assert projection._work(path) == 1
    with pytest.raises(MobiscopeError, match="KeyError"):
        projection.Ticket(path).progress()
