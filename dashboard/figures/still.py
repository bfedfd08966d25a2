"""A map as a still picture, drawn from the same deck without a browser: for PNG export and for reports that open offline."""

import base64
import json
import math
from io import BytesIO
from typing import Any

import numpy as np
import pydeck as pdk
from PIL import Image, ImageDraw, ImageFont

from dashboard.figures import colours
from dashboard.figures.base_map import REFERENCE_SIZE
from dashboard.figures.colours import Theme

_SHARPNESS = 2
"""Everything is drawn this much larger and scaled down, which smooths edges."""


def still(deck: pdk.Deck, theme: Theme, size: tuple[int, int] = (700, 560)) -> Image.Image:
    """The deck as an RGB picture, seen straight from above.

    Args:
        deck: Layers of polygons, paths, dots, texts and images, with a view state.
        theme: Light or dark; gives the colour behind everything.
        size: Width and height in pixels.
    """
    content = json.loads(deck.to_json())
    view = content["initialViewState"]
    # The view state is made for a map of the reference size; another size keeps the same ground in sight.
    fit = min(own / made for own, made in zip(size, REFERENCE_SIZE, strict=True))
    projection = _Projection(view["longitude"], view["latitude"], view["zoom"] + math.log2(fit), size)
    image = Image.new("RGB", (size[0] * _SHARPNESS, size[1] * _SHARPNESS), colours.rgb(colours.ground("beyond", theme)))
    for layer in content["layers"]:
        if layer.get("visible", True) and layer["@@type"] in _DRAWERS:
            overlay = Image.new("RGBA", image.size)
            _DRAWERS[layer["@@type"]](overlay, layer, projection)
            opacity = layer.get("opacity", 1)
            if isinstance(opacity, int | float) and opacity < 1:
                overlay.putalpha(overlay.getchannel("A").point(lambda alpha, share=float(opacity): int(alpha * share)))
            image.paste(overlay, mask=overlay)
    return image.resize(size, Image.Resampling.LANCZOS)


def still_png(deck: pdk.Deck, theme: Theme, size: tuple[int, int] = (700, 560)) -> bytes:
    """`still` as PNG bytes."""
    buffer = BytesIO()
    still(deck, theme, size).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


class _Projection:
    """Web mercator as deck.gl draws it: 512 pixels hold the world at zoom 0."""

    def __init__(self, longitude: float, latitude: float, zoom: float, size: tuple[int, int]) -> None:
        self.size = size
        self.scale = 512 * 2**zoom
        self.metres_per_pixel = 40_075_016.7 * math.cos(math.radians(latitude)) / self.scale
        self.middle = self._world(np.array([[longitude, latitude]]))[0]

    def __call__(self, points: Any) -> np.ndarray:
        """(point, 2) degrees to (point, 2) pixels of the enlarged picture."""
        at = np.asarray(points, float).reshape(-1, np.shape(points)[-1])[:, :2]
        pixels = (self._world(at) - self.middle) * self.scale + np.array(self.size) / 2
        return pixels * _SHARPNESS

    def length(self, value: float, unit: str) -> float:
        """A length in the unit of a layer as pixels of the enlarged picture."""
        return value * _SHARPNESS / (1.0 if unit == "pixels" else self.metres_per_pixel)

    @staticmethod
    def _world(at: np.ndarray) -> np.ndarray:
        x = (at[:, 0] + 180) / 360
        y = 0.5 - np.log(np.tan(np.pi / 4 + np.radians(np.clip(at[:, 1], -85, 85)) / 2)) / (2 * np.pi)
        return np.stack([x, y], axis=1)


def _value(row: Any, accessor: Any, default: Any = None) -> Any:
    """What an accessor (`@@=name`, `@@=-` for the row itself, or a constant) gives for a row."""
    if accessor is None:
        return default
    if isinstance(accessor, str) and accessor.startswith("@@="):
        name = accessor[3:]
        return row if name == "-" else row.get(name, default)
    return accessor


def _colour(value: Any, default: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if not isinstance(value, list) or len(value) < 3:
        return default
    red, green, blue, *alpha = (int(part) for part in value)
    return (red, green, blue, alpha[0] if alpha else 255)


def _polygons(image: Image.Image, layer: dict[str, Any], projection: _Projection) -> None:
    draw = ImageDraw.Draw(image)
    for row in layer.get("data") or []:
        shape = _value(row, layer.get("getPolygon"))
        if not shape:
            continue
        fill = _colour(_value(row, layer.get("getFillColor")), (0, 0, 0, 255))
        rings = shape if isinstance(shape[0][0], list) else [shape]
        if len(rings) == 1:
            draw.polygon([tuple(point) for point in projection(rings[0])], fill=fill)
            continue
        mask = Image.new("L", image.size)
        cut = ImageDraw.Draw(mask)
        for number, ring in enumerate(rings):
            cut.polygon([tuple(point) for point in projection(ring)], fill=0 if number else fill[3])
        image.paste(Image.new("RGBA", image.size, (*fill[:3], 255)), mask=mask)


def _paths(image: Image.Image, layer: dict[str, Any], projection: _Projection) -> None:
    draw = ImageDraw.Draw(image)
    unit = layer.get("widthUnits", "meters")
    for row in layer.get("data") or []:
        path = _value(row, layer.get("getPath"))
        if not path or len(path) < 2:
            continue
        width = projection.length(float(_value(row, layer.get("getWidth"), 1)), unit)
        width = max(width, projection.length(float(layer.get("widthMinPixels", 0)), "pixels"), 1)
        points = [tuple(point) for point in projection(path)]
        draw.line(points, fill=_colour(_value(row, layer.get("getColor")), (0, 0, 0, 255)), width=round(width), joint="curve")


def _dots(image: Image.Image, layer: dict[str, Any], projection: _Projection) -> None:
    draw = ImageDraw.Draw(image, "RGBA")
    rows = layer.get("data") or []
    if not rows:
        return
    at = projection([_value(row, layer.get("getPosition"))[:2] for row in rows])
    for row, (x, y) in zip(rows, at, strict=True):
        radius = projection.length(float(_value(row, layer.get("getRadius"), 1)), layer.get("radiusUnits", "meters"))
        fill = _colour(_value(row, layer.get("getFillColor")), (0, 0, 0, 255)) if layer.get("filled", True) else None
        stroke = layer.get("stroked", False)
        width = (
            projection.length(float(_value(row, layer.get("getLineWidth"), 0)), layer.get("lineWidthUnits", "meters"))
            if stroke
            else 0
        )
        outline = _colour(_value(row, layer.get("getLineColor")), (0, 0, 0, 255)) if width >= 0.5 else None
        box = (x - radius, y - radius, x + radius, y + radius)
        _blend(image, draw, box, fill, outline, round(width))


def _blend(image: Image.Image, draw: ImageDraw.ImageDraw, box: Any, fill: Any, outline: Any, width: int) -> None:
    """A disc that lets what lies below in the same layer shine through, as the browser draws it."""
    if fill is not None and fill[3] < 255:
        left, top, right, bottom = (round(edge) for edge in box)
        is_visible = right > max(left, 0) and bottom > max(top, 0) and left < image.width and top < image.height
        if is_visible:
            patch = Image.new("RGBA", (right - left + 1, bottom - top + 1))
            ImageDraw.Draw(patch).ellipse((0, 0, right - left, bottom - top), fill=fill)
            image.alpha_composite(patch, (max(left, 0), max(top, 0)), (max(-left, 0), max(-top, 0)))
        fill = None
    if fill is not None or outline is not None:
        draw.ellipse(box, fill=fill, outline=outline, width=max(width, 1) if outline else 0)


def _texts(image: Image.Image, layer: dict[str, Any], projection: _Projection) -> None:
    draw = ImageDraw.Draw(image)
    offset = layer.get("getPixelOffset") or [0, 0]
    for row in layer.get("data") or []:
        text = str(_value(row, layer.get("getText"), "")).lstrip("\u200b")
        x, y = projection([_value(row, layer.get("getPosition"))[:2]])[0] + np.array(offset, float) * _SHARPNESS
        font = ImageFont.load_default(float(_value(row, layer.get("getSize"), 12)) * _SHARPNESS)
        fill = _colour(_value(row, layer.get("getColor")), (0, 0, 0, 255))
        if layer.get("background"):
            box = draw.textbbox((x, y), text, font=font, anchor="mm")
            behind = _colour(_value(row, layer.get("getBackgroundColor")), (255, 255, 255, 220))
            pad = 3 * _SHARPNESS
            draw.rectangle((box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), fill=behind)
        draw.text((x, y), text, font=font, fill=fill, anchor="mm")


def _bitmap(image: Image.Image, layer: dict[str, Any], projection: _Projection) -> None:
    address = layer.get("image")
    if not isinstance(address, str) or not address.startswith("data:image/png;base64,"):
        return
    picture = Image.open(BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGBA")
    west, south, east, north = layer["bounds"]
    (left, top), (right, bottom) = projection([[west, north], [east, south]])
    size = (max(round(right - left), 1), max(round(bottom - top), 1))
    if max(size) < 20_000:
        image.paste(picture.resize(size, Image.Resampling.BILINEAR), (round(left), round(top)))


_DRAWERS = {
    "SolidPolygonLayer": _polygons,
    "PolygonLayer": _polygons,
    "PathLayer": _paths,
    "ScatterplotLayer": _dots,
    "TextLayer": _texts,
    "BitmapLayer": _bitmap,
}
