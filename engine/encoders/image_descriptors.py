"""Measurements of pictures that an analyst can read: how green, how built-up, how high, how much sky.

Each modality has its own list. Shares are of the picture's pixels (0 to 1); colours and brightness are 0 to 1; heights are metres.
The thresholds are ours, chosen for daylight pictures in natural colours; they are documented in docs/encoders.md.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from engine.city.images import read_heights, read_image

_LONGEST_SIDE = 128
_HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")

SATELLITE = (
    "vegetation share",
    "water share",
    "bare ground share",
    "grey surface share",
    "warm roof share",
    "built-up share",
    "shadow share",
    "brightness",
    "contrast",
    "saturation",
    "dark tenth",
    "bright tenth",
    "edge density",
    "right-angledness",
    "fine texture",
    "coarse texture",
    "red",
    "green",
    "blue",
    *(f"hue {hue}" for hue in _HUES),
)
"""Components of a remote-sensing tile."""

HEIGHT = (
    "built share",
    "mean height over ground, m",
    "mean building height, m",
    "median building height, m",
    "tall tenth, m",
    "highest, m",
    "spread of heights, m",
    "share above 10 m",
    "share above 20 m",
    "share above 40 m",
    "share above 80 m",
    "roughness, m",
    "separate buildings, per 100 px side",
)
"""Components of a height map; one grey level is one metre."""

STREET_VIEW = (
    "sky share",
    "greenery share",
    "road share",
    "facade share",
    "brightness",
    "contrast",
    "saturation",
    "warm facade share",
    "edge density",
    "upright lines",
    "fine texture",
    "coarse texture",
    "skyline height",
    "skyline roughness",
    *(f"hue {hue}" for hue in _HUES),
)
"""Components of a street-level photograph."""

Floats = npt.NDArray[np.float32]


def measure_satellite(data: bytes, name: str = "tile") -> Floats:
    """(component,) of `SATELLITE`.

    Raises:
        IngestError: If the picture cannot be read.
    """
    rgb = _rgb(data, name)
    light = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    saturation = _saturation(rgb)
    plants = _is_plant(rgb)
    water = (blue > red + 0.06) & (blue >= green - 0.02) & (light < 0.6) & ~plants
    shadow = (light < 0.32) & ~water & ~plants
    bare = (light > 0.62) & (red > blue + 0.1) & (green > blue + 0.06) & ~plants
    warm = (red > green + 0.07) & (red > blue + 0.1) & ~bare
    grey = (saturation < 0.2) & ~plants & ~water & ~shadow
    edges, _, _, right = _edges(light)
    fine, coarse = _textures(light)
    low, high = np.percentile(light, (10, 90))
    values = [
        plants.mean(),
        water.mean(),
        bare.mean(),
        grey.mean(),
        warm.mean(),
        (grey | warm | shadow).mean(),
        shadow.mean(),
        light.mean(),
        light.std(),
        saturation.mean(),
        low,
        high,
        edges,
        right,
        fine,
        coarse,
        red.mean(),
        green.mean(),
        blue.mean(),
        *_hues(rgb, saturation),
    ]
    return _settled(values)


def measure_height(data: bytes, name: str = "height map") -> Floats:
    """(component,) of `HEIGHT`; pixels that a map marks as outside of its zone (transparent) count nowhere.

    Raises:
        IngestError: If the picture cannot be read.
    """
    metres, inside = read_heights(data, name)
    known = metres[inside]
    if not known.size:
        return np.zeros(len(HEIGHT), np.float32)
    built = known[known >= 2]
    has = built.size > 0
    steps = [np.abs(np.diff(metres, axis=axis)).mean() for axis in (0, 1) if metres.shape[axis] > 1]
    _, separate = ndimage.label((metres >= 2) & inside)
    values = [
        built.size / known.size,
        known.mean(),
        built.mean() if has else 0.0,
        np.median(built) if has else 0.0,
        np.percentile(built, 90) if has else 0.0,
        known.max(),
        built.std() if has else 0.0,
        *((known > level).mean() for level in (10, 20, 40, 80)),
        np.mean(steps) if steps else 0.0,
        separate / known.size * 1e4,
    ]
    return _settled(values)


def measure_street_view(data: bytes, name: str = "street view") -> Floats:
    """(component,) of `STREET_VIEW`.

    Raises:
        IngestError: If the picture cannot be read.
    """
    rgb = _rgb(data, name)
    light = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    saturation = _saturation(rgb)
    rows = len(light)
    plants = _is_plant(rgb)
    may_be_sky = (light > 0.5) & (blue >= red - 0.02) & (blue >= green - 0.03) & ~plants
    # The sky reaches down from the upper edge without a gap.
    sky = np.logical_and.accumulate(may_be_sky, axis=0)
    lower = np.arange(rows)[:, None] >= 0.6 * rows
    road = lower & (saturation < 0.18) & (light < 0.8) & ~plants
    facade = ~sky & ~plants & ~road & ~lower
    warm = facade & (red > blue + 0.08)
    edges, _, upright, _ = _edges(light)
    fine, coarse = _textures(light)
    skyline = sky.sum(axis=0) / rows  # share of each column that is sky
    values = [
        sky.mean(),
        plants.mean(),
        road.mean(),
        facade.mean(),
        light.mean(),
        light.std(),
        saturation.mean(),
        warm.mean(),
        edges,
        upright,
        fine,
        coarse,
        1 - skyline.mean(),
        np.abs(np.diff(skyline)).mean() if len(skyline) > 1 else 0.0,
        *_hues(rgb, saturation),
    ]
    return _settled(values)


MEASURES: dict[str, tuple[tuple[str, ...], Callable[[bytes, str], Floats]]] = {
    "satellite": (SATELLITE, measure_satellite),
    "height": (HEIGHT, measure_height),
    "street_view": (STREET_VIEW, measure_street_view),
}
"""Components and measuring function by modality."""


def _settled(values: list[float]) -> Floats:
    """Five decimals: beyond them there is only rounding, which would look like a difference to whoever scales to unit variance."""
    return np.round(np.array(values, np.float64), 5).astype(np.float32)


def _rgb(data: bytes, name: str) -> Floats:
    image = read_image(data, name)
    if max(image.size) > _LONGEST_SIDE:
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(np.asarray(image, np.float32) / np.float32(255), np.float32)


def _saturation(rgb: Floats) -> Floats:
    high = rgb.max(axis=-1)
    return np.asarray((high - rgb.min(axis=-1)) / np.maximum(high, 1e-3), np.float32)


def _is_plant(rgb: Floats) -> npt.NDArray[np.bool_]:
    """Excess green over chromatic coordinates (Woebbecke et al. 1995), here 2g - r - b above 0.06."""
    share = rgb / np.maximum(rgb.sum(axis=-1, keepdims=True), 1e-3)
    return np.asarray((2 * share[..., 1] - share[..., 0] - share[..., 2] > 0.06) & (rgb.max(axis=-1) > 0.08))


def _hues(rgb: Floats, saturation: Floats) -> list[float]:
    """Share of the picture in each of six hues, pixels weighted by their saturation."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)  # 0 is red
    which = np.round(angle / (np.pi / 3)).astype(int) % 6
    return [float(saturation[which == hue].sum() / saturation.size) for hue in range(6)]


def _edges(light: Floats) -> tuple[float, float, float, float]:
    """Edge density, share of level edges, share of upright ones, and how much directions repeat every 90 degrees (0 to 1)."""
    if min(light.shape) < 3:
        return 0.0, 0.0, 0.0, 0.0
    across, down = ndimage.sobel(light, axis=1) / 4, ndimage.sobel(light, axis=0) / 4
    strength = np.hypot(across, down)
    strong = strength > 0.1
    if not strong.any():
        return 0.0, 0.0, 0.0, 0.0
    angle, weight = np.arctan2(down[strong], across[strong]), strength[strong]
    repeat = float(np.abs((weight * np.exp(4j * angle)).sum()) / weight.sum())
    upright = float((weight * (np.abs(np.cos(angle)) > 0.92)).sum() / weight.sum())
    level = float((weight * (np.abs(np.sin(angle)) > 0.92)).sum() / weight.sum())
    return float(strong.mean()), level, upright, repeat


def _textures(light: Floats) -> tuple[float, float]:
    """Contrast between neighbours within 3 pixels, and between blocks of an eighth of the side."""
    fine = float(np.abs(light - ndimage.uniform_filter(light, 3)).mean())
    block = max(1, min(light.shape) // 8)
    height, width = (side // block * block for side in light.shape)
    blocks = light[:height, :width].reshape(height // block, block, width // block, block).mean(axis=(1, 3))
    return fine, float(blocks.std())
