"""Read picture files into one uint8 tensor."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps
from torch import Tensor

from nayer.core.errors import InputError, first_line, reason

CHANNELS = 3
# Formats that are read, whatever the suffix. Among Pillow's others, EPS is a program that Ghostscript would run.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def entries(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted by name, without what is hidden.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(
            f"data.folder: '{folder}' cannot be read ({reason(error)}): make it readable, or correct data.folder."
        ) from error


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, sorted by name; hidden and other files are skipped.

    Raises:
        InputError: there are none.
    """
    found = [file for file in entries(folder) if file.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(
            f"data.folder: '{folder}' holds no pictures ({', '.join(sorted(SUFFIXES))}): "
            "put the pictures of the class there, or remove the folder."
        )
    return found


def check_inside(path: Path, root: Path) -> None:
    """Refuse a path that leads out of the given folder, by a link or by `..`, or to nothing.

    Raises:
        InputError: names the path.
    """
    if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"data.folder: '{path}' leads out of '{root}' or to nothing: copy its target there, or remove it."
        )


def read_pictures(root: Path, files: Sequence[Path], size: int, channels: int = CHANNELS, crop: float = 1.0) -> Tensor:
    """Images (N, channels, size, size) uint8, RGB or grey: the middle square, resized to `size`.

    Its side is `crop` times the picture's shorter one.

    Raises:
        InputError: a file is no picture or lies outside `root`, or the images do not fit into memory together.
    """
    _check_memory(len(files), size, channels)
    for place in (*dict.fromkeys(file.parent for file in files), *filter(Path.is_symlink, files)):
        check_inside(place, root)
    images = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    for index, file in enumerate(files):
        images[index] = _read_picture(file, size, "L" if channels == 1 else "RGB", crop)
    return images


def _read_picture(file: Path, size: int, mode: str, crop: float) -> Tensor:
    if not file.is_file():  # reading a pipe would never end
        raise InputError(f"data.folder: '{file}' is not a file: replace or remove it.")
    try:
        # Pillow itself only warns about pictures of 90 to 180 million pixels.
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(file, formats=FORMATS) as opened,
        ):
            whole, edge = _of_bytes(opened).convert(mode), (1 - crop) / 2
            square = ImageOps.fit(whole, (size, size), Image.Resampling.BILINEAR, bleed=edge)
    except Exception as error:  # a damaged picture may raise anything
        raise InputError(
            f"data.folder: '{file}' is not a valid picture ({first_line(error)}): replace or remove it."
        ) from error
    return torch.from_numpy(np.array(square)).view(size, size, -1).permute(2, 0, 1)


def _of_bytes(picture: Image.Image) -> Image.Image:
    """Scale a picture of 16 bits to 8, as Pillow itself would clip values above 255; one of 8 bits stays as it is.

    16-bit pictures have the mode I;16 from PNG and TIFF; from PGM they have I, scaled to 65535 whatever their own
    maximum is.
    """
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        return Image.fromarray((np.asarray(picture).astype(np.int64) // 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"its pixels have 32 bits, mode {picture.mode}; save it with 8 or 16")
    return picture


def _check_memory(count: int, size: int, channels: int) -> None:
    needed, memory = count * channels * size**2, psutil.virtual_memory().total
    if needed > memory:
        raise InputError(
            f"data.image_size: {count} images of {size} pixels a side take {needed / 2**30:.0f} GiB, this machine has "
            f"{memory / 2**30:.0f}: choose smaller images, or fewer."
        )
