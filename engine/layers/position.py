"""Position codes: where a place lies, and where a visit stands in its history, as vectors of sines and cosines."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import ConfigError

METRES_PER_DEGREE = 111_195.0


class GridPositions(nn.Module):
    """Multi-scale grid code of coordinates (CaLLiPer; Space2Vec, Mai et al. 2020).

    For scales `radius_s`, spaced geometrically between the smallest and the largest, the code of a point is
    sin and cos of `coordinate / radius_s` for both axes; a wavelength is 2π radii. Layout: (axis, scale, [sin, cos]).

    Args:
        scales: Number of scales.
        smallest, largest: Radii of the finest and the coarsest scale, in the unit of the coordinates.
        unit: "metre" (centred, in the city's metric CRS) or "degree" (longitude, latitude; parity with the released code).

    Raises:
        ConfigError: If the radii are not increasing or do not fit the unit.
    """

    def __init__(self, scales: int, smallest: float, largest: float, unit: str = "metre") -> None:
        super().__init__()
        if not 0 < smallest < largest:
            raise ConfigError(f"The smallest radius ({smallest:g}) must be above 0 and below the largest ({largest:g}).")
        if unit == "degree" and largest > 360:
            raise ConfigError(f"A largest radius of {largest:g} degrees goes around the globe; give degrees, or choose metres.")
        if unit == "metre" and largest < 50:
            raise ConfigError(f"A largest radius of {largest:g} metres is smaller than a street block; are these degrees?")
        self.unit = unit
        # Not a buffer: moved with the module it would be float32 or need a device with float64, and phases of degrees need float64.
        self.radii = torch.from_numpy(np.geomspace(smallest, largest, scales))

    @property
    def width(self) -> int:
        """Length of a code."""
        return 4 * len(self.radii)

    def forward(self, xy: Tensor) -> Tensor:
        """Codes of points.

        Args:
            xy: (place, 2) coordinates in the unit of the radii; float64, on the CPU, where they are not centred.

        Returns:
            (place, 4 * scale) float32.
        """
        phase = xy[:, :, None] / self.radii.to(xy)  # (place, axis, scale)
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1).to(torch.float32)

    def kernel(self, distance_metres: Tensor, latitude: float = 0.0) -> Tensor:
        """Cosine of the codes of two points this far apart, the mean of going east and going north: how alike neighbours look.

        Args:
            distance_metres: (distance,) metres, on the CPU.
            latitude: Where the city lies; only radii in degrees depend on it.

        Returns:
            (distance,) in -1 to 1.
        """
        unit = METRES_PER_DEGREE if self.unit == "degree" else 1.0
        squeeze = math.cos(math.radians(latitude)) if self.unit == "degree" else 1.0
        north, east = (distance_metres[:, None] / (metres * self.radii) for metres in (unit, unit * squeeze))
        # The axis that does not move contributes cos(0) = 1 at every scale.
        return ((north.cos().mean(1) + east.cos().mean(1)) / 2 + 1) / 2


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """The transformer's code of places in a sequence (Vaswani et al. 2017): (position, width) float32."""
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000.0) / width))
    code = torch.zeros(length, width, dtype=torch.float64)
    code[:, 0::2] = (position * rate).sin()
    code[:, 1::2] = (position * rate).cos()[:, : width // 2]
    return code.to(torch.float32)
