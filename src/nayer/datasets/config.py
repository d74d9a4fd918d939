"""Parameters of the real data."""

from typing import Literal

from nayer.core.config import Config, Count, Place, Text


class DataConfig(Config):
    """The real data: for the teacher and the evaluation only."""

    dataset: Text
    """digits, fashion_mnist, cifar10, cifar100, tiny_imagenet, image_folder, test_folder, or none."""
    folder: Place
    """Where the files of the data set lie; digits need none."""
    image_size: Count
    """Side of the images in pixels; the pictures of a folder are resized to it, other sets have their own."""
    channels: Literal[1, 3] | None
    """Of the pictures of a folder: 1 reads them as grey, null and 3 as RGB; other sets have their own."""
    class_names: list[Text] | Place | None
    """Names in the order of the teacher's classes: a list, or a text file with one a line; null takes the data set's
    own. If these are given in another order, its labels follow them; other words are taken to be in its order."""
