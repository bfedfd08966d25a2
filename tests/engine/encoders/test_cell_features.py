"""Encoding cells: right shapes, honest masks, counted losses, and an edit that stays where it was made."""

import numpy as np
import pytest

from engine.encoders.cell_features import MODALITIES, CellEncoding, encode_cells

FAST = CellEncoding(text="hash-svd")


@pytest.fixture(scope="module")
def inputs(tiny_city, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(tmp_path_factory.mktemp("encoded")))
        return encode_cells(tiny_city, FAST)


def test_every_modality_of_the_built_in_city_is_there(inputs, tiny_city):
    """36 cells with a tile and a height map each, three street views each, and nine root categories plus the area."""
    cells = tiny_city.info.rows["cells"]
    assert tuple(inputs.modalities) == MODALITIES and len(inputs) == cells
    assert list(inputs.cell_ids) == list(tiny_city.table("cells")["cell_id"])
    for name, modality in inputs.modalities.items():
        assert modality.present.all() and modality.text_present.all(), name
        assert modality.features.shape == (len(modality.owner), len(modality.components))
        assert np.isfinite(modality.features).all() and modality.features.dtype == np.float32
        assert modality.text.shape == (cells, 256) and modality.trend is None
        np.testing.assert_allclose(np.linalg.norm(modality.text, axis=1), 1.0, atol=1e-5)
    assert len(inputs.modalities["street_view"].features) == tiny_city.info.rows["street_views"]
    places = inputs.modalities["poi"]
    assert places.counts == 9 and places.components[9] == "area_km2"
    assert places.features[:, :9].sum() == tiny_city.info.rows["pois"]
    np.testing.assert_allclose(places.features[:, 9], 0.25, rtol=2e-3)


def test_encoding_again_gives_the_same_bits(inputs, tiny_city):
    again = encode_cells(tiny_city, FAST)
    assert again.fingerprint == inputs.fingerprint
