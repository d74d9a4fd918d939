"""Picture files to one uint8 tensor."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps
from torch import Tensor

from nayer.errors import InputError

CHANNELS = 3
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, by name; hidden and other files are passed over.

    Raises:
        InputError: there are none.
    """
    found = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not found:
        raise InputError(
            f"data.folder: '{folder}' holds no pictures ({', '.join(sorted(SUFFIXES))}): "
            "put the pictures of the class there, or remove the folder."
        )
    return found


def read_pictures(files: Sequence[Path], size: int, channels: int = CHANNELS) -> Tensor:
    """Images (N, channels, size, size) uint8, RGB or grey: the short side resized to `size`, the middle cut out.

    Raises:
        InputError: a file is no picture, or all of them do not fit into the memory.
    """
    _check_memory(len(files), size)
    images = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    for index, file in enumerate(files):
        images[index] = _read_picture(file, size, "L" if channels == 1 else "RGB")
    return images


def _read_picture(file: Path, size: int, mode: str) -> Tensor:
    try:
        with Image.open(file) as opened:
            square = ImageOps.fit(opened.convert(mode), (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"data.folder: '{file}' is no readable picture ({error}): replace or remove it.") from error
    return torch.from_numpy(np.array(square)).view(size, size, -1).permute(2, 0, 1)


def _check_memory(count: int, size: int) -> None:
    needed, memory = count * CHANNELS * size**2, psutil.virtual_memory().total
    if needed > memory:
        raise InputError(
            f"data.image_size: {count} images of {size} pixels a side take {needed / 2**30:.0f} GiB, this machine has "
            f"{memory / 2**30:.0f}: choose smaller images, or fewer."
        )
