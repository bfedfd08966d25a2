"""A small grid model with its cells, and one edit of every kind."""

import base64
import io

import pytest
from PIL import Image

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.models.base import Data
from engine.models.baselines.curves import fit_curve_baselines
from engine.models.lmemr import LMEMR
from engine.models.lmemr_config import LMEMRConfig
from engine.scenarios.cell_compare import (
    Grounds,
)
from engine.scenarios.cell_edits import (
    AddEdge,
    BlendCells,
    ChangeBuildings,
    ChangeDescription,
    ChangePois,
    ChangeTile,
    CutEdge,
    DropModality,
)

SPLIT = CellSplit(block_cells=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(autouse=True)
def one_cache(own_home, home, monkeypatch) -> None:
    """What was encoded for one test need not be encoded for the next."""
    monkeypatch.setenv("MOBISCOPE_HOME", str(home))


@pytest.fixture(scope="module")
def grounds(tiny_city, home) -> Grounds:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(home))
        cells = build_cell_samples(tiny_city, SPLIT)
        model = LMEMR.build(LMEMRConfig.preset("tiny", bins=6), Data(tiny_city, SPLIT, cells=cells), seed=0)
        model.eval()
        return Grounds(model, tiny_city, cells, model.encode(tiny_city, cells))


@pytest.fixture(scope="module")
def forest(grounds):
    return fit_curve_baselines(grounds.inputs, grounds.cells, 0, ["ridge"])[0]


def ids(grounds: Grounds) -> tuple[str, str]:
    """A cell of the middle of the city and one of its corners."""
    return "r002c002", "r005c005"


def png(colour: tuple[int, int, int]) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def every_edit(grounds: Grounds) -> tuple:
    """One edit of every kind that a model can answer at once."""
    here, there = ids(grounds)
    return (
        ChangePois(cell_id=here, counts={"Food": 40}),
        ChangeBuildings(cell_id=here, factor=4),
        ChangeTile(cell_id=here, image=png((20, 160, 30))),
        ChangeDescription(cell_id=here, modality="poi", text="A harbour full of night clubs."),
        BlendCells(cell_id=here, like=there, alpha=0.7),
        DropModality(modality="satellite", cell_id=here),
        CutEdge(cell_id=here, neighbour="r002c003"),
        AddEdge(cell_id=here, neighbour=there),
    )
