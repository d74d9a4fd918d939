"""Image folders and Tiny ImageNet from small synthetic trees."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from nayer import datasets
from nayer.core.errors import InputError
from nayer.datasets import pictures
from nayer.datasets.base import channel_statistics
from nayer.datasets.config import DataConfig
from nayer.datasets.pictures import read_pictures

Colour = tuple[int, int, int]
WORDS = "n03\tcrane, tower crane\nn01\tgoldfish, Carassius auratus\nn02\tcrane, bird\nn99\tnobody\n"


def config(folder: Path, dataset: str = "image_folder", size: int = 4, names: list[str] | None = None) -> DataConfig:
    return DataConfig(dataset=dataset, folder=str(folder), image_size=size, channels=None, class_names=names)


def paint(path: Path, colour: Colour, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with 12 and 3 training pictures; picture i has the red value i."""
    for name, count in (("zebra", 3), ("ant_lion", 12)):
        for index in range(count):
            paint(tmp_path / "train" / name / f"{index:02}.png", (index, 0, 0))
        paint(tmp_path / "test" / name / "only.png", (9, 9, 9))
    return tmp_path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Three classes with 40 pictures each; class i has the green value 40 i, picture j the red value j."""
    root = tmp_path / "tiny-imagenet-200"
    ids = ["n01", "n02", "n03"]
    for label, wnid in enumerate(ids):
        for index in range(40):
            paint(root / "train" / wnid / "images" / f"{wnid}_{index:02}.png", (index, 40 * label, 0), (64, 64))
    (root / "wnids.txt").write_text("n03\nn01\nn02\n")
    (root / "words.txt").write_text(WORDS)
    lines = []
    for index, wnid in enumerate(["n02", "n03", "n01", "n02"]):
        paint(root / "val" / "images" / f"val_{index}.png", (0, 0, index), (64, 64))
        lines.append(f"val_{index}.png\t{wnid}\t0\t0\t1\t1")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_classes_are_sorted_and_every_tenth_image_is_held_out(folder: Path) -> None:
    data = datasets.load(config(folder))
    assert data.class_names == ("ant_lion", "zebra")
    assert data.validation.images[:, 0, 0, 0].tolist() == [0, 10, 0]
    assert data.validation.labels.tolist() == [0, 0, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 1, 2]
    assert data.train.labels.tolist() == [0] * 10 + [1] * 2
    assert (data.test.images.shape, data.test.labels.tolist()) == ((2, 3, 4, 4), [0, 1])
    assert (data.train.images.dtype, data.train.labels.dtype) == (torch.uint8, torch.int64)


def test_statistics_are_those_of_the_training_part(folder: Path) -> None:
    data = datasets.load(config(folder))
    expected = data.train.images.double().div(255).mean(dim=(0, 2, 3))
    assert (data.spec.size, data.spec.channels) == (4, 3)
    assert data.spec.mean == pytest.approx(expected.tolist(), abs=1e-4)
    assert min(data.spec.std) > 0


def test_channel_statistics_by_another_way() -> None:
    images = torch.randint(0, 256, (50, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(images)
    pixels = images.double().div(255).transpose(0, 1).flatten(1)
    assert mean == pytest.approx(pixels.mean(dim=1).tolist(), abs=5e-5)
    assert std == pytest.approx(pixels.std(dim=1, correction=0).tolist(), abs=5e-5)


def test_short_side_is_resized_and_the_middle_cut_out(folder: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = (200, 100, 50)
    Image.fromarray(wide).save(folder / "test" / "zebra" / "only.png")
    image = datasets.load(config(folder)).test.images[1]
    assert image[:, 2, 2].tolist() == [200, 100, 50]
    assert image[:, 1, 1].tolist() == [200, 100, 50]


def test_grey_pictures_become_rgb_and_other_files_are_passed_over(folder: Path) -> None:
    Image.new("L", (6, 6), 77).save(folder / "test" / "zebra" / "only.png")
    for name in (".hidden.png", "notes.txt"):
        (folder / "test" / "zebra" / name).write_text("no picture")
    (folder / "train" / ".cache").mkdir()
    data = datasets.load(config(folder))
    assert data.test.images[1].unique().tolist() == [77]
    assert len(data.test) == 2


@pytest.mark.parametrize(("width", "height"), [(512, 512), (640, 480), (300, 700)])
def test_of_a_picture_the_middle_is_shown_as_torchvision_scales_and_cuts_it(
    folder: Path, width: int, height: int
) -> None:
    down, across = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(across / 40), np.cos(down / 30), np.sin((across + down) / 60)], -1)
    Image.fromarray((127 + 120 * waves).astype(np.uint8)).save(file := folder / "waves.png")
    (read,) = read_pictures(folder, [file], 224, crop=0.875)
    scaled = resize(Image.open(file), 256, InterpolationMode.BILINEAR)
    wanted = pil_to_tensor(center_crop(scaled, 224))
    # Not equal: torchvision places the square on whole pixels of the scaled picture.
    assert (read.int() - wanted.int()).abs().float().mean() < 3
    (whole,) = read_pictures(folder, [file], 224)
    assert (whole.int() - wanted.int()).abs().float().mean() > 9


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_sixteen_bits_keep_their_brightness_and_other_numbers_are_refused(
    folder: Path, channels: int
) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(values).save(file := folder / "deep.png")
    (read,) = read_pictures(folder, [file], 8, channels)
    assert read[0].tolist() == (values // 257).tolist()
    for maximum in (65535, 63000):
        scaled = (values.astype(np.int64) * maximum // 65535).astype(">u2")
        (grey := folder / "deep.pgm").write_bytes(f"P5\n8 8\n{maximum}\n".encode() + scaled.tobytes())
        (read,) = read_pictures(folder, [grey], 8, channels)
        assert (read[0].int() - torch.from_numpy(values // 257).int()).abs().max() <= 1
    Image.fromarray(values.astype(np.float32)).save(file := folder / "float.tiff")
    with pytest.raises(InputError, match=r"float\.tiff.*32 bits, mode F; save it with 8 or 16"):
        read_pictures(folder, [file], 8, channels)


def test_damaged_picture_is_named(folder: Path) -> None:
    (folder / "train" / "zebra" / "01.png").write_bytes(b"no picture")
    datasets.check(config(folder))
    with pytest.raises(InputError, match="zebra/01.png' is not a valid picture"):
        datasets.load(config(folder))


def test_cut_off_picture_is_named(folder: Path) -> None:
    path = folder / "train" / "zebra" / "02.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match="zebra/02.jpg' is not a valid picture"):
        datasets.load(config(folder))


@pytest.mark.parametrize(("part", "other"), [("train", "test"), ("test", "train")])
def test_train_and_test_need_the_same_classes(folder: Path, part: str, other: str) -> None:
    (folder / part / "extra").mkdir()
    with pytest.raises(InputError, match=f"class 'extra' in {part} but not in {other}"):
        datasets.check(config(folder))


def test_empty_and_single_picture_classes(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "new").mkdir()
    paint(folder / "test" / "new" / "a.png", (1, 1, 1))
    with pytest.raises(InputError, match="train/new' holds no pictures"):
        datasets.load(config(folder))
    paint(folder / "train" / "new" / "a.png", (1, 1, 1))
    with pytest.raises(InputError, match="train/new' holds one picture"):
        datasets.load(config(folder))


def test_missing_image_folder(tmp_path: Path) -> None:
    for refuse in (datasets.check, datasets.class_names, datasets.load):
        with pytest.raises(InputError, match="train' holds no class folders"):
            refuse(config(tmp_path))
    assert datasets.class_names(config(tmp_path, names=["a", "b"])) == ("a", "b")


def test_more_pictures_than_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=100)
    monkeypatch.setattr(pictures.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(InputError, match="data.image_size: 15 images of 4 pixels"):
        datasets.load(config(folder))


def test_tiny_imagenet_counts_sorted_ids(tiny: Path) -> None:
    data = datasets.load(config(tiny, "tiny_imagenet", 64))
    assert data.class_names == ("goldfish", "crane, bird", "crane, tower crane")
    assert data.test.labels.tolist() == [1, 2, 0, 1]
    assert data.test.images[:, 2, 0, 0].tolist() == [0, 1, 2, 3]
    assert data.train.labels.bincount().tolist() == [38, 38, 38]
    assert torch.equal(data.train.images[:, 1, 0, 0].long(), 40 * data.train.labels)
    assert data.validation.images[:, 0, 0, 0].tolist() == [38, 39] * 3
    assert data.spec.size == 64


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt", "val/val_annotations.txt", "train/n02/images"])
def test_missing_parts_of_tiny_imagenet(tiny: Path, name: str) -> None:
    (tiny / "tiny-imagenet-200" / name).rename(tiny / "away")
    with pytest.raises(InputError, match=f"tiny-imagenet-200/{name}'.*fetch http.*tiny-imagenet-200.zip"):
        datasets.check(config(tiny, "tiny_imagenet", 64))


def test_damaged_lists_of_tiny_imagenet(tiny: Path) -> None:
    root = tiny / "tiny-imagenet-200"
    (root / "val" / "val_annotations.txt").write_text("val_0.png\tn77\n")
    with pytest.raises(InputError, match="val_annotations.txt' is damaged"):
        datasets.load(config(tiny, "tiny_imagenet", 64))
    (root / "words.txt").write_text("n01\tgoldfish\nno tab\n")
    with pytest.raises(InputError, match="no name for 'n02'"):
        datasets.class_names(config(tiny, "tiny_imagenet", 64))


def test_tiny_imagenet_has_its_own_size(tiny: Path) -> None:
    with pytest.raises(InputError, match="data.image_size: 32 contradicts"):
        datasets.check(config(tiny, "tiny_imagenet", 32))


def test_tiny_imagenet_names_from_the_parameters(tiny: Path, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    assert datasets.class_names(config(tiny, "tiny_imagenet", 64, names)) == ("a", "b", "c")
    assert datasets.load(config(tiny, "tiny_imagenet", 64, names)).class_names == ("a", "b", "c")
    with pytest.raises(InputError, match="2 names given, 'tiny_imagenet' has 3 classes"):
        datasets.class_names(config(tiny, "tiny_imagenet", 64, names[:2]))
    assert len(datasets.class_names(config(tmp_path / "nowhere", "tiny_imagenet", 64, names))) == 3
    (tiny / "tiny-imagenet-200" / "words.txt").unlink()
    assert datasets.load(config(tiny, "tiny_imagenet", 64, names)).test.labels.tolist() == [1, 2, 0, 1]


def test_grey_pictures_have_one_channel_where_the_teacher_wants_it(folder: Path) -> None:
    grey = datasets.load(config(folder).model_copy(update={"channels": 1}))
    assert grey.test.images.shape == (2, 1, 4, 4)
    assert grey.test.images.unique().tolist() == [9]
    assert grey.spec.channels == 1


def test_test_pictures_alone_take_their_class_from_the_name_of_the_folder(folder: Path) -> None:
    names = ["zebra", "ant_lion"]  # the teacher's order, which is not alphabetical
    data = datasets.load(config(folder / "train", "test_folder", names=names))
    assert data.class_names == ("zebra", "ant_lion")
    assert data.test.images[:, 0, 0, 0].tolist() == [*range(12), *range(3)]
    assert data.test.labels.tolist() == [1] * 12 + [0] * 3
    assert len(data.train) == len(data.validation) == 0


def test_training_pictures_follow_the_names_of_their_folders_in_another_order(folder: Path) -> None:
    data = datasets.load(config(folder, names=["Zebra", "ant lion"]))
    assert data.class_names == ("Zebra", "ant lion")
    assert data.train.labels.tolist() == [1] * 10 + [0] * 2
    assert data.test.labels.tolist() == [1, 0]


def test_folders_that_are_not_named_as_the_classes_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="'bee' is only among the class names"):
        datasets.check(config(folder / "train", "test_folder", names=["ant_lion", "bee"]))
    with pytest.raises(InputError, match="holds no class folders"):
        datasets.check(config(folder / "nowhere", "test_folder"))


@pytest.mark.parametrize("dataset", ["image_folder", "test_folder"])
def test_a_class_without_test_pictures_is_refused_before_a_run(folder: Path, dataset: str) -> None:
    place = folder if dataset == "image_folder" else folder / "test"
    only = folder / "test" / "zebra" / "only.png"
    only.rename(only.with_suffix(".jfif"))
    for refuse in (datasets.check, datasets.load):
        with pytest.raises(InputError, match="test/zebra' holds no pictures"):
            refuse(config(place, dataset))


def test_a_picture_that_unfolds_to_more_than_it_is_worth_is_refused_unread(folder: Path) -> None:
    bomb = folder / "test" / "zebra" / "only.png"
    Image.new("1", (12_000, 12_000)).save(bomb)  # 144 million pixels, of which Pillow itself would only warn
    assert bomb.stat().st_size < 2**16
    with pytest.raises(InputError, match="only.png' is not a valid picture .*decompression bomb"):
        datasets.load(config(folder))


@pytest.mark.parametrize(
    "program", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nquit\n", b"%PDF-1.4"]
)
def test_a_program_that_is_called_a_picture_is_never_run(folder: Path, monkeypatch, program: bytes) -> None:
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    (folder / "test" / "zebra" / "only.png").write_bytes(program)
    with pytest.raises(InputError, match="only.png' is not a valid picture"):
        datasets.load(config(folder))


@pytest.mark.parametrize("dataset", ["image_folder", "test_folder"])
def test_a_class_folder_that_is_a_link_out_of_the_data_is_refused_before_a_run(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, dataset: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("private")
    paint(elsewhere / "secret.png", (1, 1, 1))
    parts = ("train", "test") if dataset == "image_folder" else ("train",)
    for part in parts:
        (folder / part / "leak").symlink_to(elsewhere)
    place = folder if dataset == "image_folder" else folder / "train"
    for refuse in (datasets.check, datasets.load):
        with pytest.raises(InputError, match="train/leak' leads out of"):
            refuse(config(place, dataset))


def test_an_accent_may_be_written_in_either_way(folder: Path) -> None:
    apart, one = "ame\u0301ricain", "am\u00e9ricain"
    (folder / "test" / "zebra").rename(folder / "test" / apart)
    data = datasets.load(config(folder / "test", "test_folder", names=[one, "ant_lion"]))
    assert data.class_names == (one, "ant_lion")
    assert sorted(data.test.labels.tolist()) == [0, 1]
    (folder / "names.txt").write_text(f"{apart}\nant_lion\n")
    named = config(folder / "test", "test_folder").model_copy(update={"class_names": str(folder / "names.txt")})
    assert datasets.class_names(named) == (one, "ant_lion")


def test_data_whose_classes_stand_in_another_order_than_a_models_are_refused(folder: Path) -> None:
    test = config(folder / "test", "test_folder", names=["zebra", "ant_lion"])
    assert (
        datasets.load_for(("zebra", "ant_lion"), test).test.labels.tolist() == datasets.load(test).test.labels.tolist()
    )
    assert len(datasets.load_for(("horse", "ant_lion"), test).test) == 2, "another word for it"
    with pytest.raises(InputError, match=r"data\.class_names: 'zebra' is class 0 .from 0., but class 1 of teacher and"):
        datasets.load_for(("ant_lion", "zebra"), test)
    with pytest.raises(InputError, match=r"data\.class_names: 2, but teacher and student have 3; set"):
        datasets.load_for(("zebra", "ant_lion", "bee"), test)


@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "itself"])
def test_a_picture_that_is_a_link_out_of_the_data_or_to_nothing_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, target: str
) -> None:
    secret, link = tmp_path_factory.mktemp("private") / "secret.png", folder / "train" / "zebra" / "link.png"
    paint(secret, (1, 1, 1))
    link.symlink_to({"elsewhere": secret, "nowhere": folder / "nowhere.png", "itself": link}[target])
    with pytest.raises(InputError, match="zebra/link.png' leads out of .* or to nothing"):
        datasets.load(config(folder))


def test_links_within_the_data_and_a_link_to_all_of_it_are_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "zebra" / "again.png").symlink_to(folder / "train" / "zebra" / "00.png")
    (tmp_path / "data").symlink_to(folder)
    assert len(datasets.load(config(tmp_path / "data")).train) == 12 + 4 - 3


def test_a_pipe_that_is_called_a_picture_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "test" / "zebra" / "pipe.png")
    with pytest.raises(InputError, match="zebra/pipe.png' is not a file"):
        datasets.load(config(folder))


@pytest.mark.parametrize("file", ["wnids.txt", "val/val_annotations.txt"])
def test_lists_of_tiny_imagenet_that_lead_out_of_it_are_refused(tiny: Path, file: str) -> None:
    for place in ("images", "val/images"):
        paint(tiny / "private" / place / "secret.png", (1, 1, 1), (64, 64))
    root = tiny / "tiny-imagenet-200"
    way = "../../private" if file == "wnids.txt" else "../../../private/images/secret.png"
    text = f"{way}\nn01\n" if file == "wnids.txt" else f"{way}\tn01\n"
    (root / file).write_text(text)
    with (root / "words.txt").open("a") as words:
        words.write(f"{way}\tsecret\n")
    with pytest.raises(InputError, match="private.* leads out of"):
        datasets.load(config(tiny, "tiny_imagenet", 64))


@pytest.mark.parametrize("kind", ["pipe", "large", "folder"])
def test_class_names_come_from_a_text_file_of_some_size(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "names.txt"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.touch()
        os.truncate(file, 2**40)
    with pytest.raises(InputError, match="data.class_names: .*names.txt' cannot be read as a text file"):
        datasets.class_names(config(tmp_path, "none").model_copy(update={"class_names": str(file)}))


def test_a_folder_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"data.folder: '.*train' cannot be read \(Permission denied\): make it"):
        datasets.check(config(folder))
