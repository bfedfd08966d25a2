"""Descriptions as part of a city: a new version with another fingerprint, and what was there stays unless asked otherwise."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from engine.city.city import open_city
from engine.cli import app
from engine.encoders.captions import caption_city, caption_evidence
from engine.encoders.cell_features import CellEncoding, encode_cells
from engine.encoders.describe import Describer, Description, Told, describer
from engine.errors import ConfigError
from tests.engine.encoders.test_describe_endpoint import process, server  # noqa: F401


class Half(Describer):
    """Describes every second piece of evidence and fails with the others."""

    name = "half"
    fingerprint = "half/1"

    def describe(self, evidence, with_trend, report=None):
        said = [
            Description("Told.", 7.0, (0.5,) * 24 if with_trend else None) if number % 2 else None
            for number in range(len(evidence))
        ]
        return Told(said, {"failed": sum(one is None for one in said)}, ["Cell x: the server failed."])


def run(*words: str):
    return CliRunner().invoke(app, list(words))


def test_descriptions_become_a_table_of_a_new_version(tiny_city):
    cells = tiny_city.info.rows["cells"]
    evidence = caption_evidence(tiny_city, ["poi"])
    assert len(evidence) == cells, "a cell without places is described as such"
    done = caption_city(tiny_city, Half(), evidence, with_trend=True)
    table = done.city.table("descriptions")
    assert done.written["poi"] == len(table) == cells // 2 and set(table["source"]) == {"half"}
    assert table["trend_h23"].eq(0.5).all() and table["intensity"].eq(7.0).all() and set(table["text"]) == {"Told."}
    assert done.city.fingerprint != tiny_city.fingerprint and not tiny_city.has("descriptions")
    assert "18 descriptions of cells were written by half." in done.city.info.data_card.assumptions


def test_cells_far_from_every_place_are_not_described_as_empty(tiny_city):
    """Only the places of the north-westernmost cell are kept: cells within 1 km of them are covered, the rest is unknown."""
    cells, pois = tiny_city.metric("cells"), tiny_city.metric("pois")
    near = pois.geometry.within(cells.geometry.iloc[0].buffer(300)).to_numpy()
    fewer = tiny_city.replace(pois=tiny_city.spatial("pois")[near].reset_index(drop=True))
    asked = {one.cell_id for one in caption_evidence(fewer, ["poi"])}
    covered = cells.distance(pois.geometry[near].union_all()) <= 1_000
    assert near.any() and 0 < len(asked) < 36 and asked == set(cells["cell_id"][covered])


def test_what_has_a_description_is_not_asked_about_again(tiny_city):
    first = caption_city(tiny_city, Half(), caption_evidence(tiny_city, ["poi"])).city
    rest = caption_evidence(first, ["poi"])
    assert len(rest) == 18 and not {one.cell_id for one in rest} & set(first.table("descriptions")["subject_id"])
    second = caption_city(first, describer("rules"), rest)
    assert second.kept == 18 and second.city.table("descriptions")["source"].value_counts().to_dict() == {"half": 18, "rules": 18}
    assert len(caption_evidence(second.city, ["poi"])) == 0
    again = caption_city(second.city, describer("rules"), caption_evidence(second.city, ["poi"], replace=True))
    assert again.kept == 0 and set(again.city.table("descriptions")["source"]) == {"rules"}


def test_descriptions_of_two_prompts_stand_side_by_side(tiny_city):
    """Described in full and then lite, a city holds both; each encoding hears its own, and asking again replaces one alone."""
    full = caption_city(tiny_city, describer("rules"), caption_evidence(tiny_city, ["poi"])).city
    missing = caption_evidence(full, ["poi"], prompt="lite")
    assert len(missing) == 36 and not caption_evidence(full, ["poi"])
    both = caption_city(full, describer("rules", "lite"), missing)
    assert both.kept == 36 and both.city.table("descriptions")["prompt"].value_counts().to_dict() == {"three_level": 36, "lite": 36}
    for prompt in ("three_level", "lite"):
        encoding = CellEncoding(text="hash-svd", prompt=prompt)
        expected = encode_cells(tiny_city, encoding).modalities["poi"].captions
        assert encode_cells(both.city, encoding).modalities["poi"].captions == expected
        assert ("Zoning" in expected[0]) == (prompt == "three_level")
    again = caption_city(both.city, Half(), caption_evidence(both.city, ["poi"], replace=True))
    assert again.kept == 36 + 18 and set(again.city.table("descriptions").query("prompt == 'lite'")["source"]) == {"rules"}


def test_what_was_described_before_prompts_were_kept_is_of_the_full_one(tiny_city):
    old = caption_city(tiny_city, Half(), caption_evidence(tiny_city, ["poi"])).city
    old = old.replace(descriptions=old.table("descriptions").drop(columns="prompt"))
    again = caption_city(old, describer("rules"), caption_evidence(old, ["poi"], replace=True))
    assert again.kept == 0 and len(again.city.table("descriptions")) == 36
    beside = caption_city(old, describer("rules", "lite"), caption_evidence(old, ["poi"], prompt="lite"))
    assert beside.kept == 18 and len(beside.city.table("descriptions")) == 18 + 36


def test_stored_rules_say_what_the_rules_say(tiny_city):
    """Describing first or while encoding is the same words, so the same vectors."""
    stored = caption_city(tiny_city, describer("rules"), caption_evidence(tiny_city)).city
    encoding = CellEncoding(text="hash-svd")
    at_once, from_table = encode_cells(tiny_city, encoding), encode_cells(stored, encoding)
    for name in at_once.modalities:
        assert at_once.modalities[name].captions == from_table.modalities[name].captions


def test_unknown_modalities_and_cities_are_refused(tiny_city):
    with pytest.raises(ConfigError, match="no modality `smell`"):
        caption_evidence(tiny_city, ["smell"])


def test_the_command_estimates_first_and_saves_a_new_version(tiny_city):
    tiny_city.save()
    planned = run("caption", tiny_city.name, "--modality", "poi", "--dry-run")
    assert planned.exit_code == 0 and "36 descriptions by rules, no requests" in planned.stdout
    done = run("caption", tiny_city.name, "--modality", "poi", "--name", "Told", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["written"]["poi"] == 36 and answer["fingerprint"] != answer["fingerprint_before"] == tiny_city.fingerprint
    assert open_city("Told").fingerprint == answer["fingerprint"] and open_city("Told").media_paths() == tiny_city.media_paths()
    assert not open_city(tiny_city.name).has("descriptions")
    again = run("caption", "Told", "--modality", "poi")
    assert isinstance(again.exception, ConfigError) and "has its descriptions already" in str(again.exception)


def test_the_command_asks_a_server_only_after_it_was_allowed_to(tiny_city, server):  # noqa: F811
    tiny_city.save()
    words = ("caption", tiny_city.name, "--modality", "satellite", "--describer", f"endpoint:{server.address}/v1:seer")
    refused = CliRunner().invoke(app, list(words), input="n\n")
    assert refused.exit_code == 1 and "36 requests with 36 pictures" in refused.stdout and server.log == []
    planned = run(*words, "--dry-run", "--price-in", "1", "--price-out", "2", "--json")
    assert json.loads(planned.stdout)["estimate"]["requests"] == 36 and server.log == []
    done = run(*words, "--yes", "--trend", "--name", "Seen")
    assert done.exit_code == 0 and len(server.log) == 36 and "36 descriptions" in done.stdout
    table: pd.DataFrame = open_city("Seen").table("descriptions")
    assert set(table["source"]) == {"endpoint:127.0.0.1:seer"} and table["trend_h23"].eq(1.0).all()
    assert set(table["prompt"]) == {"three_level"}
    server.plan("401")
    again = run(*words, "--yes", "--trend", "--name", "Again")
    assert again.exit_code == 0 and server.log == [], "every answer was on disk"
