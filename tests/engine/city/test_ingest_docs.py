"""docs/file-formats.md says everything an analyst can meet: readers, options and codes."""

import re
from pathlib import Path

import pytest
import yaml

from engine.city.checks import DROP_RULES
from engine.city.readers import READERS
from engine.city.recipe import IngestChoices

ROOT = Path(__file__).parents[3]
PAGES = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("file-formats.md", "file-formats-geo.md"))
OURS = (
    "foursquare",
    "snap",
    "geolife",
    "gps",
    "yjmob",
    "atomic_geo",
    "atomic_trajectory",
    "atomic_state",
    "atomic_aside",
    "canonical",
)
CODE = re.compile(r"""(?:Problem|refuse|warn)\(\s*"([A-Z][A-Z_0-9]+)\"""")


def codes() -> set[str]:
    """Every code a table reader can refuse with, as written in the source."""
    files = [
        "readers/" + name
        for name in ("sniff", "archives", "tables", "checkins", "visits", "positions", "geolife", "yjmob", "atomic")
    ]
    files += ["readers/canonical", "combine", "reading", "ingest", "sandbox"]
    return {code for name in files for code in CODE.findall((ROOT / "engine" / "city" / f"{name}.py").read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", [*OURS, "checkins", "venues"])
def test_every_reader_of_tables_is_described(name: str) -> None:
    assert name in READERS
    assert f"`{name}`" in PAGES


@pytest.mark.parametrize("name", [*OURS, "checkins", "venues"])
def test_every_option_and_field_is_described(name: str) -> None:
    for spec in (*READERS[name].options, *READERS[name].fields):
        assert f"`{spec.name}`" in PAGES, spec.name


@pytest.mark.parametrize("code", sorted(DROP_RULES.keys() | codes()))
def test_every_code_is_described(code: str) -> None:
    assert f"`{code}`" in PAGES


def test_the_recipe_of_the_page_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGES.split("## Recipes")[1], flags=re.DOTALL)[:1]
    assert IngestChoices.model_validate(yaml.safe_load(text)).of("checkins.csv").mapping["started_at"] == "local_time"
