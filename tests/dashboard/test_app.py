"""The frame: safe defaults, one palette, no service to the network without a login, no torch before it is needed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from dashboard import navigation
from dashboard.app import refused_binding
from dashboard.exports import csv_bytes
from dashboard.figures import colours

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())


def test_the_server_is_bound_to_this_machine_and_tells_nobody() -> None:
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert CONFIG["server"]["enableXsrfProtection"] and CONFIG["server"]["enableCORS"]
    assert not CONFIG["server"]["enableStaticServing"] and not CONFIG["server"]["enableAgentApi"]
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] == "type"


@pytest.mark.parametrize("address", [None, "0.0.0.0", "::", "192.168.1.5", ""])
def test_other_addresses_are_refused_without_a_login(address: str | None) -> None:
    assert "refuses to serve" in str(refused_binding(address, has_login=False))
    assert refused_binding(address, has_login=True) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_served(address: str) -> None:
    assert refused_binding(address, has_login=False) is None


def test_the_theme_uses_the_colours_of_the_figures() -> None:
    declared = yaml.safe_load((ROOT / "assets" / "colours.yaml").read_text())
    for index, theme in enumerate(("light", "dark")):
        shown = CONFIG["theme"][theme]
        assert shown["linkColor"] == declared["roles"]["prediction"][index]
        assert shown["textColor"] == declared["figure"]["text"][index]
        assert shown["backgroundColor"] == declared["figure"]["panel"][index]
        assert shown["chartCategoricalColors"] == declared["categorical"]
        assert shown["chartSequentialColors"] == declared["sequential"]
        steps = colours.ramp(np.linspace(0, 1, 10), declared["diverging"][theme])
        assert shown["chartDivergingColors"] == ["#{:02X}{:02X}{:02X}".format(*step) for step in steps]


def test_every_page_of_the_navigation_is_there_and_every_page_is_in_it() -> None:
    listed = {page for group in navigation.GROUPS.values() for page in group}
    assert listed == {path.stem for path in (ROOT / "pages").glob("*.py")}


def test_every_page_has_a_key_of_its_own_and_none_that_a_page_uses() -> None:
    keys = navigation.keys()
    assert set(keys.values()) == {page for group in navigation.GROUPS.values() for page in group}
    assert list(keys)[:3] == ["1", "2", "3"] and keys["1"] == "city"
    assert not set(keys) & {"u", "y", "left", "right", "escape", "c", "r"}


def test_the_app_starts_from_another_folder_without_being_installed(tmp_path: Path) -> None:
    """`streamlit run` puts only `dashboard/` on the path; the shim must find the rest."""
    program = f"""
import importlib.util, runpy, sys
sys.path = [path for path in sys.path if path != {str(ROOT)!r}]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
assert importlib.util.find_spec("engine") is None
runpy.run_path({str(ROOT / "dashboard" / "app.py")!r}, run_name="shim")
print("engine" in sys.modules, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-W", "ignore", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split()[-2:] == ["True", "False"], done.stderr[-2000:]


def test_exported_cells_are_no_formulas_and_numbers_stay_numbers() -> None:
    import pandas as pd

    frame = pd.DataFrame({"name": ["=1+1", "+cmd", "@SUM", "-x", "\t=1", "plain"], "value": [-1.5, 2, 3, 4, 5, 6]})
    lines = csv_bytes(frame.rename(columns={"name": "=HYPERLINK(1)"})).decode().splitlines()
    assert lines[0] == "'=HYPERLINK(1),value"
    assert lines[1] == "'=1+1,-1.5"
    assert all(line.lstrip('"').startswith("'") for line in lines[1:6])
    assert lines[6] == "plain,6.0"
    assert frame["name"].iloc[0] == "=1+1", "the table itself is not changed"
