"""Image encoders: measurements that mean what they are called, local models without network or pickles, vectors made elsewhere."""

import contextlib
import io
import json
import sqlite3

import numpy as np
import pytest
import torch
from PIL import Image

from engine import store
from engine.encoders import cache
from engine.encoders.image import DescriptorImages, PrecomputedVectors, TransformerImages, image_encoder
from engine.errors import EncoderError

GRASS, WATER, ASPHALT, TILES = (90, 130, 70), (58, 98, 150), (150, 150, 150), (170, 100, 80)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def halves(upper: tuple[int, int, int], lower: tuple[int, int, int], side: int = 64) -> Image.Image:
    image = Image.new("RGB", (side, side), upper)
    image.paste(lower, (0, side // 2, side, side))
    return image


def measured(image: Image.Image, modality: str) -> dict[str, float]:
    encoder = image_encoder("descriptors", modality)
    (row,) = encoder.encode([encoded(image)])
    assert row.dtype == np.float32 and len(row) == encoder.width == len(encoder.components) == len(set(encoder.components))
    return dict(zip(encoder.components, map(float, row), strict=True))


def test_half_a_meadow_is_half_vegetation():
    found = measured(halves(GRASS, ASPHALT), "satellite")
    assert found["vegetation share"] == 0.5 and found["grey surface share"] == 0.5 and found["built-up share"] == 0.5
    assert found["water share"] == 0 and found["hue green"] > found["hue red"]
    assert measured(halves(WATER, WATER), "satellite")["water share"] == 1.0
    assert measured(halves(TILES, GRASS), "satellite")["warm roof share"] == 0.5


def test_stripes_have_edges_and_right_angles_and_a_flat_picture_has_none():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = 220
    found = measured(Image.fromarray(stripes), "satellite")
    assert found["edge density"] > 0.3 and found["right-angledness"] > 0.95
    flat = measured(Image.new("RGB", (64, 64), ASPHALT), "satellite")
    assert flat["edge density"] == flat["right-angledness"] == flat["fine texture"] == flat["contrast"] == 0.0


def test_a_street_under_the_sky():
    """Sky over the upper 40 %, a wall of warm brick, then road."""
    image = Image.new("RGB", (100, 100), (190, 210, 235))
    image.paste((160, 90, 70), (0, 40, 100, 60))
    image.paste((95, 95, 98), (0, 60, 100, 100))
    found = measured(image, "street_view")
    assert found["sky share"] == found["road share"] == pytest.approx(0.4) and found["facade share"] == pytest.approx(0.2)
    assert found["warm facade share"] == pytest.approx(0.2) and found["skyline height"] == pytest.approx(0.6)
    assert found["greenery share"] == 0 and found["skyline roughness"] == 0


def test_a_height_map_is_read_in_metres():
    grey = np.zeros((50, 50), np.uint8)
    grey[:25, :25] = 40
    found = measured(Image.fromarray(grey), "height")
    assert found["built share"] == 0.25 and found["mean building height, m"] == 40 == found["highest, m"]
    assert found["mean height over ground, m"] == 10 and found["share above 20 m"] == 0.25 and found["share above 40 m"] == 0


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBA", "I;16"])
def test_odd_modes_are_read_and_measured(mode):
    image = Image.fromarray(np.full((32, 32), 30_000, np.uint16)) if mode == "I;16" else halves(GRASS, ASPHALT, 32).convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    for modality in ("satellite", "height", "street_view"):
        assert np.isfinite(DescriptorImages(modality).encode([data])).all()


def test_pictures_that_cannot_be_read_are_rows_of_nan_and_are_not_cached():
    good = encoded(halves(GRASS, ASPHALT), "JPEG")
    bad = [good[: len(good) // 2], b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
    rows = DescriptorImages("satellite").encode([good, *bad])
    assert np.isfinite(rows[0]).all() and np.isnan(rows[1:]).all()
    assert np.isnan(DescriptorImages("satellite").encode(bad)).all()


def test_a_picture_is_measured_once_and_bit_for_bit_the_same_in_any_company(monkeypatch):
    pictures = [encoded(halves(GRASS, (shade, shade, shade))) for shade in (90, 150, 210)]
    first = DescriptorImages("satellite").encode(pictures)
    monkeypatch.setattr(DescriptorImages, "_compute", lambda *rest: pytest.fail("the cache was not used"))
    np.testing.assert_array_equal(DescriptorImages("satellite").encode([pictures[2], pictures[0], pictures[2]]), first[[2, 0, 2]])
    with pytest.raises(BaseException, match="the cache was not used"):
        DescriptorImages("street_view").encode(pictures)


def test_a_damaged_cache_is_computed_again(tmp_path):
    picture = encoded(halves(GRASS, ASPHALT))
    first = DescriptorImages("satellite").encode([picture])
    file = store.cache_folder() / "encoders" / "rows.sqlite"
    file.write_bytes(b"this is no database, however long it may be" * 100)
    np.testing.assert_array_equal(DescriptorImages("satellite").encode([picture]), first)
    np.testing.assert_array_equal(DescriptorImages("satellite").encode([picture]), first)
    assert file.read_bytes().startswith(b"SQLite format 3")


def test_a_cache_that_another_process_is_writing_to_is_done_without_and_left_in_place(monkeypatch):
    """While the other one writes, the picture is measured anew; what it wrote is there afterwards, and so is what was there before."""
    monkeypatch.setattr(cache, "_PATIENCE_S", 0.05)
    picture = encoded(halves(GRASS, ASPHALT))
    first = DescriptorImages("satellite").encode([picture])
    file = store.cache_folder() / "encoders" / "rows.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("INSERT INTO rows VALUES (x'00', x'00')")
        np.testing.assert_array_equal(DescriptorImages("satellite").encode([picture]), first)
        other.commit()
    with contextlib.closing(sqlite3.connect(file)) as again:
        assert again.execute("SELECT count(*) FROM rows").fetchone() == (2,)


# ---- models from folders --------------------------------------------------------------------------------------------------------


def resnet(folder):
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    return 12


def clip(folder):
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=small | {"vocab_size": 20}, vision_config=small | {"image_size": 32, "patch_size": 16}, projection_dim=10
    )
    CLIPModel(config).save_pretrained(folder)
    settings = {"crop_size": {"height": 32, "width": 32}, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return 10


def dinov2(folder):
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return 16


@pytest.mark.parametrize("make", [resnet, clip, dinov2])
def test_a_local_model_gives_its_pooled_vector(make, tmp_path):
    """Whatever the architecture: one vector a picture, the same in any batch, other ones for other pictures and weights."""
    torch.manual_seed(0)
    width = make(tmp_path)
    encoder = TransformerImages("transformers:x", tmp_path, "satellite", batch=2)
    pictures = [encoded(halves(GRASS, (shade, 80, 80), 40)) for shade in (20, 120, 220)]
    rows = encoder.encode([*pictures, b"no picture"])
    assert rows.shape == (4, width) == (4, encoder.width) and np.isfinite(rows[:3]).all() and np.isnan(rows[3]).all()
    assert len(np.unique(rows[:3].round(5), axis=0)) == 3
    alone = TransformerImages("transformers:x", tmp_path, "satellite")._compute([pictures[1]], lambda *_: None)
    np.testing.assert_allclose(alone[0], rows[1], atol=1e-5)
    other = TransformerImages("transformers:x", tmp_path, "height")
    assert other.fingerprint != encoder.fingerprint, "a height map enters as grey"
    assert np.isfinite(other.encode([encoded(Image.fromarray(np.full((20, 20), 90, np.uint8)))])).all()


def test_clip_vectors_are_those_of_its_own_image_tower(tmp_path):
    from transformers import CLIPModel

    torch.manual_seed(0)
    clip(tmp_path)
    flat = Image.new("RGB", (50, 32), (100, 150, 200))
    (row,) = image_encoder(f"transformers:{tmp_path}", "street_view").encode([encoded(flat)])
    normal = (np.array([100, 150, 200]) / 255 - [0.48, 0.46, 0.41]) / [0.27, 0.26, 0.28]
    pixels = torch.tensor(normal, dtype=torch.float32)[None, :, None, None].expand(1, 3, 32, 32)
    with torch.no_grad():
        found = CLIPModel.from_pretrained(tmp_path).eval().get_image_features(pixel_values=pixels)
    expected = found if isinstance(found, torch.Tensor) else found.pooler_output
    np.testing.assert_allclose(row, expected[0].numpy(), atol=1e-5)


def test_folders_that_must_not_be_opened_are_refused(tmp_path):
    with pytest.raises(EncoderError, match="there is no folder"):
        image_encoder("transformers:/nowhere", "satellite")
    resnet(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(EncoderError, match="its own code, which is never run"):
        image_encoder(f"transformers:{tmp_path}", "satellite")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"`pytorch_model.bin`, a format that can run code"):
        image_encoder(f"transformers:{tmp_path}", "satellite")
    with pytest.raises(EncoderError, match="no image encoder `resnet`"):
        image_encoder("resnet", "satellite")
    with pytest.raises(EncoderError, match="no pictures of `poi`"):
        image_encoder("descriptors", "poi")


def test_weights_of_another_architecture_are_refused(tmp_path):
    from safetensors.torch import save_file

    resnet(tmp_path)
    save_file({"something.weight": torch.zeros(3)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="another architecture"):
        image_encoder(f"transformers:{tmp_path}", "satellite").encode([encoded(halves(GRASS, ASPHALT))])


# ---- vectors made elsewhere -----------------------------------------------------------------------------------------------------


def test_vectors_made_elsewhere_are_checked(tmp_path):
    source = f"precomputed:{tmp_path}"
    with pytest.raises(EncoderError, match="there is no folder"):
        PrecomputedVectors(source, tmp_path / "nowhere")
    vectors = PrecomputedVectors(source, tmp_path)
    assert vectors.rows("satellite") is None
    np.save(tmp_path / "satellite.npy", np.ones((3, 4)))
    with pytest.raises(EncoderError, match=r"`satellite.txt` is missing"):
        vectors.rows("satellite")
    (tmp_path / "satellite.txt").write_text("a\nb\n")
    with pytest.raises(EncoderError, match="for 2 ids"):
        vectors.rows("satellite")
    (tmp_path / "satellite.txt").write_text("a\nb\nc\n")
    found, ids, _ = vectors.rows("satellite")
    assert found.shape == (3, 4) and found.dtype == np.float32 and ids == ["a", "b", "c"]
    np.save(tmp_path / "satellite.npy", np.array([[1.0, np.nan]] * 3))
    with pytest.raises(EncoderError, match="not finite, first for cell 'a'"):
        vectors.rows("satellite")
    np.save(tmp_path / "satellite.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(EncoderError, match="not a plain array"):
        vectors.rows("satellite")
