"""What-ifs of cells from the command line: the numbers of the comparison."""

import pandas as pd
import pytest

from engine.scenarios.cell_compare import (
    OUTDATED,
    compare_curves,
)
from engine.scenarios.cell_edits import (
    AddEdge,
    ChangePois,
)
from engine.scenarios.scenario import Scenario


def test_the_command_line_gives_the_numbers_of_the_comparison(grounds, capsys):
    import json
    from types import SimpleNamespace

    from engine.cli.cells import whatif_cells

    scenario = Scenario(name="Bridge", edits=(AddEdge(cell_id="r000c000", neighbour="r005c005"),))
    data = SimpleNamespace(city=grounds.city, cells=grounds.cells, inputs=grounds.inputs)
    whatif_cells(SimpleNamespace(model=grounds.encoder, data=data), scenario, "a-run", 3, as_json=True)
    told = json.loads(capsys.readouterr().out)
    found = compare_curves(grounds.encoder, grounds, scenario)
    assert told["changed"] == found.changed.sum() and len(told["cells"]) == 3
    most = found.cells.loc[found.cells["change"].abs().idxmax()]
    assert told["cells"][0]["cell_id"] == most["cell_id"]
    assert sum(told["cells"][0]["hours_after"]) == pytest.approx(most["after"])
    whatif_cells(SimpleNamespace(model=grounds.encoder, data=data), scenario, "a-run", 3, as_json=False)
    assert "join r000c000 and r005c005" in capsys.readouterr().out


def test_the_command_line_says_when_a_stored_description_is_left_out(grounds, capsys):
    import json
    from types import SimpleNamespace

    from engine.cli.cells import whatif_cells

    row = {"subject": "cell", "subject_id": "r002c002", "modality": "poi", "text": "Few places.", "source": "seer"}
    captioned = grounds.city.replace(descriptions=pd.DataFrame([row]))
    data = SimpleNamespace(city=captioned, cells=grounds.cells, inputs=grounds.encoder.encode(captioned, grounds.cells))
    loaded = SimpleNamespace(model=grounds.encoder, data=data)
    scenario = Scenario(edits=(ChangePois(cell_id="r002c002", counts={"Food": 40}),))
    whatif_cells(loaded, scenario, "a-run", 3, as_json=True)
    assert json.loads(capsys.readouterr().out)["notes"] == [f"In r002c002 count Food: 40: {OUTDATED}"]
    whatif_cells(loaded, scenario, "a-run", 3, as_json=False)
    assert OUTDATED in capsys.readouterr().out
