"""Real Manhattan: tracts, departures and venues through the ordinary readers, the published figures again, and baselines on both splits."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold

from engine.city.cell_samples import build_cell_samples
from engine.city.cell_splits import CellSplit
from engine.city.flow_scale import FlowScale
from engine.encoders.cell_features import CellEncoding, encode_cells
from engine.errors import ConfigError
from engine.evaluation.flow_answers import FlowAnswers, pooled_folds
from engine.evaluation.flow_metrics import summarise_flow
from engine.evaluation.flow_report import evaluate_curves
from engine.models.answers import CurvePrediction
from engine.models.baselines.curves import fit_curve_baselines
from tests.real.manhattan import manhattan

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def city(real_data, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("manhattan")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(scratch / "home"))
        return manhattan(real_data, scratch)


@pytest.fixture(scope="module")
def inputs(city, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBISCOPE_HOME", str(tmp_path_factory.mktemp("cache")))
        return encode_cells(city, CellEncoding(describer="none"))


def test_the_city_is_what_its_readme_says(city, inputs):
    """270 tracts in ten PUMAs of 19 to 39, 10,744,363 departures, a mean area of 0.20 km², venues and no picture."""
    cells = build_cell_samples(city, CellSplit(kind="districts", folds=5))
    assert len(cells) == 270 and cells.day_type == "all" and cells.outflow.sum(dtype=float) == 10_744_363
    sizes = pd.Series(cells.district).value_counts()
    assert len(sizes) == 10 and sizes.min() == 19 and sizes.max() == 39
    assert cells.area_km2.mean() == pytest.approx(0.20, abs=0.01)
    known = {name: int(modality.present.sum()) for name, modality in inputs.modalities.items()}
    assert known == {"satellite": 0, "height": 0, "street_view": 0, "poi": 270}
    assert not {"checkins", "crimes", "lat", "lon", "puma"} & set(inputs.modalities["poi"].components)


def test_puma_folds_hold_out_whole_pumas_and_cover_every_tract(city):
    """Five folds of whole PUMAs, each tract tested once; ten PUMAs cannot make eleven folds."""
    tested = np.zeros(270, int)
    for fold in range(5):
        cells = build_cell_samples(city, CellSplit(kind="districts", folds=5, fold=fold, valid_share=0))
        test = cells.mask("test")
        assert not set(cells.district[test]) & set(cells.district[~test])
        tested += test
    assert (tested == 1).all()
    with pytest.raises(ConfigError, match="11 folds need at least as many districts"):
        build_cell_samples(city, CellSplit(kind="districts", folds=11))


def test_extremely_randomised_trees_reach_the_published_figures(city, inputs):
    """The folder's README reports MAE 663 on random and 766 on PUMA folds; the same trees, measured by our evaluation, come within 4 %.

    Its R² of the log, .651 and .591, is the mean over hours; pooled over hours (our definition, the paper's) it is higher,
    because the variance between hours is explained too. Both are checked.
    """
    cells = build_cell_samples(city, CellSplit(kind="random_cells"))
    flows, table = cells.outflow.astype(float), inputs.modalities["poi"].features
    scale = FlowScale.fit(flows)
    folds = {
        "random": (KFold(5, shuffle=True, random_state=0).split(table), 663, 0.651),
        "PUMA": (GroupKFold(5).split(table, groups=cells.district), 766, 0.591),
    }
    for name, (split, mae, mean_r2) in folds.items():
        answers = []
        for train, test in split:
            trees = ExtraTreesRegressor(100, random_state=0).fit(table[train], np.log1p(flows[train]))
            part = np.zeros(270, np.int8)
            part[test] = 2
            curves = CurvePrediction(np.expm1(trees.predict(table)))
            given = FlowAnswers.of("trees", "Trees", curves, cells, scale)
            answers.append(FlowAnswers(**{**given.__dict__, "part": part}))
        whole = pooled_folds(answers, scale)
        found = summarise_flow(whole)
        assert found["mae"].value == pytest.approx(mae, rel=0.04), name
        by_hour = r2_score(np.log1p(whole.observed), np.log1p(whole.flow))
        assert by_hour == pytest.approx(mean_r2, abs=0.05), name
        assert found["r2"].value > by_hour, name


def test_random_folds_flatter_what_only_knows_positions(city, inputs):
    """Inverse distance explains most of the log flow on random cells and far less across PUMAs; trees on venues lose little."""
    found = {}
    for kind in ("random_cells", "districts"):
        cells = build_cell_samples(city, CellSplit(kind=kind, seed=1))
        fitted = fit_curve_baselines(inputs, cells, names=["hourly_mean", "inverse_distance", "extra_trees"])
        evaluation = evaluate_curves(fitted, inputs, cells, city, slices=())
        found[kind] = {baseline.name: evaluation.headline(baseline.name)["wape"] for baseline in fitted}
    lost = {name: found["districts"][name] - found["random_cells"][name] for name in found["districts"]}
    assert found["random_cells"]["inverse_distance"] < found["random_cells"]["hourly_mean"]
    assert lost["inverse_distance"] > lost["extra_trees"]
