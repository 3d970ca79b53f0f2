"""How far two pictures are apart: by pixels, and by structure (Wang et al., 2004)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.functional import gaussian_blur

Picture = NDArray[np.float32]
"""Height x width x 3, from 0 to 1."""

_WINDOW, _SIGMA = 11, 1.5
_FLAT, _EVEN = 0.01**2, 0.03**2
"""What keeps quotients finite where a window is dark, or of one colour."""


def pixels(one: Picture, other: Picture) -> float:
    """The mean difference, as a share of full brightness; NaN where a picture holds NaN."""
    return float(np.abs(one.astype(np.float64) - other).mean())


def ssim(one: Picture, other: Picture) -> float:
    """The mean structural similarity: 1 of equal pictures, 0 and less of unlike ones."""
    a, b = (torch.from_numpy(each).double().permute(2, 0, 1)[None] for each in (one, other))
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    both = _blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _FLAT) / (mean_a**2 + mean_b**2 + _FLAT)
    structure = (2 * both + _EVEN) / (var_a + var_b + _EVEN)
    return float((light * structure).mean())


def _blur(picture: torch.Tensor) -> torch.Tensor:
    return gaussian_blur(picture, [_WINDOW, _WINDOW], [_SIGMA, _SIGMA])
