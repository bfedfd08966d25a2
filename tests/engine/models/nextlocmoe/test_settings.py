"""Settings, texts and folders of NextLocMoE."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine.errors import ConfigError, EncoderError
from engine.models.nextlocmoe import NextLocMoE
from engine.models.nextlocmoe_config import NextLocMoEConfig
from engine.models.nextlocmoe_training import trained_parameters
from tests.engine.encoders.test_backbone import save
from tests.engine.models.nextlocmoe.conftest import assert_probabilities, tiny


def test_experts_renamed_or_removed_in_yaml_make_another_model(data, tmp_path):
    """Three roles of one's own: three weights, and the run knows the names it was trained with."""
    path = tmp_path / "mine.yaml"
    path.write_text("experts:\n" + "".join(f"  - {{name: r{number}, text: Person number {number}.}}\n" for number in range(3)))
    model = tiny(data, role_texts=str(path))
    assert model.experts()["roles_2"].names == ("r0", "r1", "r2")
    content = path.read_text()
    path.write_text(content.replace("r1,", "other,"))
    renamed = tiny(data, role_texts=str(path))
    assert renamed.artefacts()["roles"] != model.artefacts()["roles"]
    said = renamed.changes_since(model.artefacts())
    assert said == "The roles of this run (`mine.yaml`) are not those it was trained with: r1 is gone and other is new."
    path.write_text(content.replace("number 1", "who sleeps by day"))
    assert "the text of r1 changed" in tiny(data, role_texts=str(path)).changes_since(model.artefacts())
    assert model.changes_since(model.artefacts()) == ""
    path.write_text("experts: []")
    with pytest.raises(ConfigError, match="lists 0 experts"):
        tiny(data, role_texts=str(path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 18, "heads": 4}, r"“Width” \(18\) must be an even multiple of “Heads” \(4\)"),
        ({"heads": 2, "key_value_heads": 3, "width": 16}, r"“Heads” \(2\) must be a multiple of “Key-value heads” \(3\)"),
        ({"first_expert_layer": 2}, "must be below the layers"),
        ({"prompt": "Where next?"}, "random backbone cannot read"),
        ({"backbone": "llama"}, "random or folder"),
        ({"freeze": "always"}, "nothing that could learn"),
        ({"smallest_radius": 900.0, "largest_radius": 800.0}, "smallest radius"),
        ({"threshold": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, sentence):
    with pytest.raises((ConfigError, ValidationError), match=sentence):
        NextLocMoEConfig.preset("tiny", **changes)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_published_presets_run_on_a_folder_with_the_backbone_frozen(data, histories, tmp_path, preset):
    """On a tiny Qwen: only gains of the backbone learn, and its frozen weights stay what they were in the folder."""
    folder = save(tmp_path, "qwen2")
    small = {"backbone": f"folder:{folder}", "layers": 2, "first_expert_layer": 1, "location_width": 8, "rank": 2, "stride": 50}
    model = NextLocMoE.build(NextLocMoEConfig.preset(preset, **small), data, 0)
    assert model.prompt_vectors.shape[0] > 5 and model.role_vectors.shape == (11, 16)
    learnt = {id(parameter) for parameter in trained_parameters(model)}
    for name, parameter in model.backbone.model.named_parameters():
        assert (id(parameter) in learnt) == (name.endswith("norm.weight") and parameter.ndim == 1), name
    (stage,) = model.stages(data)
    terms = stage.loss(next(iter(stage.batches(0, np.random.default_rng(0)))))
    terms["total"].backward()
    assert torch.isfinite(terms["total"])
    assert_probabilities(model.eval().predict(histories).log_probability)
    with model.turned(**{"text of student": "a student goes to school"}):
        assert_probabilities(model.predict(histories).log_probability)


def test_published_presets_say_which_folder_is_missing(data):
    with pytest.raises(EncoderError, match="there is no folder"):
        NextLocMoE.build(NextLocMoEConfig.preset("paper"), data, 0)
