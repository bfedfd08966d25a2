"""The generator as a whole: the same city from the same seed, complete, of the size that was asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.city.city import City
from engine.city.samples import VisitLog, build_samples
from engine.city.schema import TABLES
from engine.city.splits import PARTS, Split
from engine.city.synthetic import synthesise
from engine.errors import ConfigError


def test_the_same_seed_gives_the_same_city_bit_for_bit(tiny_city: City):
    again = synthesise("tiny", seed=0, name="Under another name")
    assert again.fingerprint == tiny_city.fingerprint
    assert again.media_paths() == tiny_city.media_paths()
    assert all(again.media(path) == tiny_city.media(path) for path in again.media_paths())


def test_another_process_with_other_hashes_gives_the_same_city(tiny_city: City):
    code = "from engine.city.synthetic import synthesise; print(synthesise('tiny', seed=0).fingerprint)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[4],
    )
    assert run.stdout.strip() == tiny_city.fingerprint


def test_another_seed_gives_another_city(tiny_city: City):
    other = synthesise("tiny", seed=1)
    assert all(
        other.info.table_hashes[table] != tiny_city.info.table_hashes[table] for table in ("visits", "locations", "buildings")
    )


def test_leaving_images_out_changes_no_other_table(tiny_city: City):
    bare = synthesise("tiny", seed=0, images=False)
    assert not bare.media_paths() and not bare.has("imagery") and not bare.has("street_views")
    assert all(bare.info.table_hashes[table] == tiny_city.info.table_hashes[table] for table in bare.tables)


def test_it_has_every_table_but_the_descriptions_which_others_write(tiny_city: City):
    assert tiny_city.tables == [table for table in TABLES if table != "descriptions"]
    assert tiny_city.has(*tiny_city.tables)


def test_the_demo_has_the_size_the_issue_names(demo_city: City):
    rows = demo_city.info.rows
    cells = demo_city.table("cells")
    assert cells["row"].max() == cells["col"].max() == 23
    assert rows["locations"] == 1_500
    assert demo_city.table("visits")["user_id"].nunique() == 400
    assert rows["visits"] == pytest.approx(60_000, rel=0.1)
    assert rows["buildings"] > 6_000


@pytest.mark.parametrize("size", [800, 6_000])
def test_a_number_is_about_that_many_visits(size: int):
    city = synthesise(size)
    assert city.info.rows["visits"] == pytest.approx(size, rel=0.25)


@pytest.mark.parametrize("size", ["large", 0, 5, -3, True, 2.5, 10**9, None])
def test_a_size_that_is_none_is_refused_with_a_sentence(size: object):
    with pytest.raises(ConfigError, match=r"Give `tiny`, `demo` or a number of visits"):
        synthesise(size)  # type: ignore[arg-type]


def test_progress_is_told_in_words_from_nothing_to_done():
    told: list[tuple[str, float]] = []
    synthesise("tiny", report=lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and len(told) >= 6
    assert all(what for what, _ in told)


def test_it_comes_back_from_disk_as_it_was(tiny_city: City, tmp_path: Path):
    saved = tiny_city.save(tmp_path / "city")
    assert saved.fingerprint == tiny_city.fingerprint
    assert saved.media_paths() == tiny_city.media_paths()
    assert City.open(tmp_path / "city").table("truth").equals(tiny_city.table("truth"))


@pytest.mark.parametrize("seed", [0, 4, 13, 36])
def test_every_part_of_a_chronological_split_has_samples(seed: int):
    samples = build_samples(VisitLog.of(synthesise("tiny", seed=seed, images=False), Split()))
    assert all(len(samples.of_part(part)) > 200 for part in PARTS)


@pytest.mark.parametrize("seed", [2, 8, 31])
def test_outlines_stay_valid_where_coasts_and_streets_nearly_touch(seed: int):
    """Seeds whose rounded outlines once crossed themselves or vanished."""
    city = synthesise(2_000, seed=seed)
    for table in ("boundary", "buildings", "cells"):
        assert city.spatial(table).geometry.is_valid.all()


def test_the_truth_names_every_person_cell_place_and_visit_once(tiny_city: City):
    truth = tiny_city.table("truth")
    of = {subject: rows for subject, rows in truth.groupby("subject")}
    assert sorted(of["user"]["subject_id"]) == sorted(tiny_city.table("visits")["user_id"].unique())
    assert list(of["cell"]["subject_id"]) == list(tiny_city.table("cells")["cell_id"])
    assert list(of["location"]["subject_id"]) == list(tiny_city.table("locations")["location_id"])
    assert list(of["visit"]["subject_id"]) == [str(row) for row in range(tiny_city.info.rows["visits"])]
    assert of["user"]["role"].notna().all() and of["visit"]["activity"].notna().all()
    assert of["cell"]["zone_function"].notna().all() and of["location"]["zone_function"].notna().all()


def test_what_is_known_stays_in_the_truth(tiny_city: City):
    """No table a model reads may give the roles, functions or activities away."""
    for table in set(tiny_city.tables) - {"truth"}:
        assert not {"role", "zone_function", "activity", "zone"} & set(tiny_city.table(table).columns)
