"""Files made to do harm: no code in them is run, none takes more memory than its size, each gives a clear error."""

import io
import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import _utils as rebuilds

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.core.tensors import METADATA_KEY
from nayer.lte.tables import import_table
from nayer.models import architectures
from nayer.models.architectures import build_network, trust
from nayer.models.classifier import Classifier
from nayer.models.weights import fit
from nayer.pipelines.evaluate.nodes import compare_models
from nayer.synthesis.sample import SyntheticSample
from nayer.teachers.checkpoint import read_weights

KEY, CLASSES = "teacher.weights", ("ant", "bee", "cat")


class Call:
    """A call that a pickle asks its reader to make."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.asked = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.asked


class Stored:
    """What a pickle of torch says about the numbers stored beside it: their type, name and count."""

    def __init__(self, numel: int, kind: type = torch.FloatStorage, name: str = "0") -> None:
        self.identity = "storage", kind, name, "cpu", numel


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Stored) else None


def tensor(numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, **stored: Any) -> Call:
    return Call(rebuilds._rebuild_tensor_v2, Stored(numel, **stored), offset, size, stride, False, OrderedDict())


def pickled(content: Any) -> bytes:
    target = io.BytesIO()
    Pickler(target, protocol=2).dump(content)
    return target.getvalue()


def archive(path: Path, content: Any, numbers: bytes = bytes(64), compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a file as torch.save does, with any content in its pickle."""
    with zipfile.ZipFile(path, "w", compression) as target:
        entries = {"data.pkl": pickled(content), "version": b"3\n", "byteorder": b"little", "data/0": numbers}
        for name, entry in entries.items():
            target.writestr(f"teacher/{name}", entry)
    return path


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt", "safetensors", "pt2"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_pickle_is_never_run_whatever_the_file_is_called(form, suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, code = tmp_path / f"teacher.{suffix}", {"state_dict": Call(Path.touch, Path("executed"))}
    if form == "pickle":
        path.write_bytes(pickle.dumps(code))
    else:
        torch.save(code, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match=f"{KEY}: '.*' (holds more than weights|is damaged)"):
        read_weights(path, KEY)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("code", [Call(eval, "open('executed', 'w')"), Call(getattr, Path, "touch"), Call(print, 1)])
def test_built_in_functions_are_not_called_either(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="holds more than weights"):
        read_weights(archive(tmp_path / "teacher.pt", {"w": tensor(16, (16,), (1,)), "a": code}), KEY)
    assert not (tmp_path / "executed").exists()


def own_mapping() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["model"] = content
    return content


def many_ways() -> dict[str, Any]:
    content: dict[str, Any] = {}
    for _ in range(40):
        content = dict.fromkeys(("state_dict", "model", "net", "teacher", "ema"), content)
    return content


INDICES, VALUES = (tensor(8, *form, kind=torch.LongStorage) for form in (((1, 8), (8, 1)), ((8,), (1,))))
LAYOUT = Call(torch.serialization._get_layout, "torch.sparse_coo")
PICKLES: Mapping[str, tuple[Any, str]] = {
    "more numbers than there are": ({"w": tensor(10**6, (10**6,), (1,))}, "damaged"),
    "fewer numbers than none": ({"w": tensor(-4, (4,), (1,))}, "damaged"),
    "a shape beyond its numbers": ({"w": tensor(16, (10**6,), (1,))}, "damaged"),
    "a place before the first number": ({"w": tensor(16, (4,), (1,), -4)}, "damaged"),
    "steps backwards": ({"w": tensor(16, (4,), (-1,), 4)}, "damaged"),
    "a shape that no integer holds": ({"w": tensor(16, (2**62, 4), (2**62, 4))}, "damaged"),
    "room for nothing": ({"w": Call(bytearray, 10**10)}, "asks for a bytearray"),
    "one number as a trillion": ({"w": tensor(16, (10**12,), (0,))}, "lacks"),
    "no numbers": ({"w": Call(rebuilds._rebuild_meta_tensor_no_storage, torch.float32, (9,), (1,), False)}, "lacks"),
    "sparse": ({"w": Call(rebuilds._rebuild_sparse_tensor, LAYOUT, (INDICES, VALUES, (10**12,), False))}, "lacks"),
    "texts": ({"w": "0.5", "v": b"0.5"}, "holds no weights"),
    "a list": ([tensor(16, (16,), (1,))], "holds no weights"),
    "itself": (own_mapping(), "holds no weights"),
    "more ways than one can go": (many_ways(), "holds no weights"),
    "keys that are no names": ({(1, 2): tensor(16, (16,), (1,)), 3: tensor(16, (16,), (1,))}, "lacks"),
    "a key that moves the cursor": ({"w\x1b[2J\r": tensor(16, (16,), (1,))}, "lacks"),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_without_code_can_lie_but_takes_no_memory(name, tmp_path):
    content, words = PICKLES[name]
    path = archive(tmp_path / "teacher.pt", content)
    with pytest.raises(InputError, match=words) as told:
        fit(build_network("wrn-10-1", 1, 3), read_weights(path, KEY), "'teacher.pt'", KEY)
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize("suffix", ["pt", "pt2"])
def test_an_archive_that_unfolds_is_refused_unread(suffix, tmp_path):
    bomb = archive(tmp_path / f"bomb.{suffix}", {}, bytes(2**26), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**17
    with pytest.raises(InputError, match="compressed, which torch never does"):
        read_weights(bomb, KEY)


@pytest.mark.parametrize("suffix", ["pt", "pt2"])
def test_an_archive_whose_entries_share_their_bytes_is_refused_unread(suffix, tmp_path):
    path = archive(tmp_path / f"shared.{suffix}", {}, bytes(2**12))
    with zipfile.ZipFile(path, "a") as target:
        shared = target.getinfo("teacher/data/0")
        target.filelist += [shared] * 100
        target._didModify = True
    with pytest.raises(InputError, match="unpacks beyond its size"):
        read_weights(path, KEY)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_is_no_weight_by_its_type_is_named(suffix, dtype, tmp_path):
    path, network = tmp_path / f"teacher.{suffix}", build_network("wrn-10-1", 1, 3)
    weights = {name: value.to(dtype) for name, value in network.state_dict().items()}
    (torch.save if suffix == "pt" else save_file)(weights, path)
    with pytest.raises(InputError, match=f"stem.weight is {dtype}, not torch.float32.*save them again"):
        fit(network, read_weights(path, KEY), "'teacher'", KEY)


@pytest.mark.parametrize("odd", [(3,), (), (16, 1, 3, 3, 1)], ids=["vector", "number", "too deep"])
def test_weights_of_another_depth_are_named(odd, tmp_path):
    network = build_network("wrn-10-1", 1, 3)
    weights = {**network.state_dict(), "stem.weight": torch.zeros(odd)}
    with pytest.raises(InputError, match="stem.weight is .*save them again"):
        fit(network, weights, "'teacher'", KEY)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("kind", ["sparse", "quantised", "meta"])
def test_tensors_without_plain_numbers_are_named(kind, tmp_path):
    network = build_network("wrn-10-1", 1, 3)
    odd = {
        "sparse": lambda value: value.to_sparse(),
        "quantised": lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        "meta": lambda value: value.to("meta"),
    }[kind]
    weights = {**network.state_dict(), "stem.weight": odd(network.stem.weight.detach())}
    torch.save(weights, tmp_path / "teacher.pt")
    with pytest.raises(InputError, match="stem.weight is not a plain tensor"):
        fit(network, read_weights(tmp_path / "teacher.pt", KEY), "'teacher'", KEY)


def test_values_that_are_finite_only_in_double_precision_are_spoilt():
    network = build_network("wrn-10-1", 1, 3)
    weights = {name: value.double() for name, value in network.state_dict().items()}
    weights["head.bias"][0] = 1e300
    with pytest.raises(InputError, match="non-finite values in head.bias"):
        fit(network, weights, "'teacher'", KEY)


def safetensors(path: Path, header: Any, numbers: bytes = bytes(64), length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + numbers)
    return path


def entry(shape: list[int], begin: int = 0, end: int = 64, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "header",
    [
        {"w": entry([10**12])},
        {"w": entry([2**62, 2**62, 4])},
        {"w": entry([16], -64, 0)},
        {"w": entry([16], 64, 0)},
        {"w": entry([16]), "v": entry([16])},
        {"w": entry([8], 0, 32), "v": entry([10], 24, 64)},
        {"w": entry([16], 0, 2**63)},
        {"w": entry([16], dtype="PICKLE")},
        {"w": entry([16.5])},
        {"w": None},
        [],
        b"[" * 10**5,
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("read", [lambda path: read_weights(path, KEY), lambda path: import_table("t", path, CLASSES)])
def test_a_safetensors_header_that_lies_is_damage(read, header, tmp_path):
    with pytest.raises(InputError, match="is damaged"):
        read(safetensors(tmp_path / "teacher.safetensors", header))


@pytest.mark.parametrize("length", [0, 2**31, 2**63, 2**64 - 1])
def test_a_safetensors_header_of_any_length_is_damage(length, tmp_path):
    with pytest.raises(InputError, match="is damaged"):
        read_weights(safetensors(tmp_path / "teacher.safetensors", {"w": entry([16])}, length=length), KEY)


@pytest.fixture
def described(tmp_path) -> Callable[..., Path]:
    """Writes a classifier file with changes to its header."""
    Classifier.build("wrn-10-1", CLASSES, ImageSpec(8, 1, (0.3,), (0.4,))).save(tmp_path / "whole.safetensors")
    weights = load_file(tmp_path / "whole.safetensors")

    def write(**said: Any) -> Path:
        images = {"size": 8, "channels": 1, "mean": [0.3], "std": [0.4]} | said.pop("images", {})
        known = {"kind": "classifier", "architecture": "wrn-10-1", "class_names": [*CLASSES], "provenance": {}}
        header = {name: value for name, value in {**known, "images": images, **said}.items() if value != "gone"}
        save_file(weights, tmp_path / "odd.safetensors", {METADATA_KEY: said.get("raw") or json.dumps(header)})
        return tmp_path / "odd.safetensors"

    assert Classifier.load(write()).class_names == CLASSES
    return write


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"architecture": 7}, "architecture: 7 is refused"),
        ({"architecture": ""}, "architecture: '' is refused"),
        ({"architecture": "wrn\x1b[2J"}, "control characters"),
        ({"architecture": "gone"}, "Field required"),
        ({"images": {"size": "a"}}, "images.size: 'a' is refused"),
        ({"images": {"size": True}}, "images.size"),
        ({"images": {"size": 10**9}}, "images.size: 1000000000 is refused"),
        ({"images": {"channels": 10**12}}, "images.channels: 1000000000000 is refused"),
        ({"images": {"std": [0]}}, "images.std.0: 0 is refused"),
        ({"images": {"std": [float("nan")]}}, "images.std.0: nan is refused"),
        ({"images": {"std": [1e-300]}}, "images.std.0: 1e-300 is refused"),
        ({"images": {"mean": [float("inf")]}}, "images.mean.0: inf is refused"),
        ({"images": {"mean": "0.3"}}, "images.mean"),
        ({"class_names": "abc"}, "class_names: 'abc' is refused"),
        ({"class_names": [1, 2, 3]}, "class_names.0: 1 is refused"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["a\nb", "c", "d"]}, "class_names.0"),
        ({"class_names": ["\ud800", "c", "d"]}, "class_names.0"),
        ({"class_names": ["a", "b", "c", "d"]}, "head.weight is"),
        ({"provenance": "gone"}, "provenance.*Field required"),
        ({"provenance": []}, "provenance"),
        ({"raw": "[]"}, "a foreign file"),
        ({"raw": "{"}, "is damaged"),
        ({"raw": "[" * 10**5}, "is damaged"),
        ({"raw": '{"kind": "classifier", "provenance": {"a": ' + "[" * 500 + "]" * 500 + "}}"}, "own description"),
        ({"raw": '{"kind": "classifier", "seed": ' + "9" * 5000 + "}"}, "is damaged"),
    ],
)
def test_a_header_of_wrong_kinds_is_named(said, words, described):
    with pytest.raises(InputError, match=words):
        Classifier.load(described(**said))


@pytest.mark.parametrize(
    "architecture",
    [
        *("wrn-994-99", "wrn-10-99", "timm:vit_7b_patch16_dinov3", "torchvision:vit_h_14"),
        'timm:vit_tiny_patch16_224{"depth":50,"embed_dim":65535}',
    ],
)
def test_a_network_of_any_size_is_compared_before_it_takes_memory(architecture, described):
    """The first would take some 500 GB, the third 27 GB, the last 10,000 GB."""
    images = {"channels": 3, "mean": [0.3] * 3, "std": [0.4] * 3, "size": 224} if "vit" in architecture else {}
    with pytest.raises(InputError, match="does not fit its own description: it lacks"):
        Classifier.load(described(architecture=architecture, images=images))


def test_images_of_any_size_make_no_table_of_any_size(described):
    """For images of 4096 pixels a side, the tables would take 80 GB."""
    with pytest.raises(InputError, match=r"architecture of '.*': 'timm:levit_128s' .* has tables of [\d,]+ numbers"):
        Classifier.load(described(architecture="timm:levit_128s", images={"size": 4096}))


@pytest.fixture
def own_module(tmp_path, monkeypatch) -> str:
    """Architecture from a module that leaves a file when it is run."""
    monkeypatch.setattr(architectures, "_trusted", set())
    monkeypatch.chdir(tmp_path)
    code = "from pathlib import Path\nfrom nayer.models.architectures import build_network\nPath('run').touch()\n"
    (tmp_path / "strangers.py").write_text(f"{code}def net():\n    return build_network('wrn-10-1', 1, 3)\n")
    yield "strangers:net"
    sys.modules.pop("strangers", None)


def test_code_that_a_file_names_is_run_only_where_it_is_trusted_by_that_name(own_module, described, tmp_path):
    path = described(architecture=own_module)
    trust("strangers:other")
    with pytest.raises(InputError, match="'strangers:net' would be imported and run; where you trust that code, set"):
        Classifier.load(path)
    assert not (tmp_path / "run").exists()
    assert "strangers" not in sys.modules
    trust(own_module)
    assert Classifier.load(path).architecture == own_module
    assert (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["os:_exit", "posix:abort", "nayer.models.vgg:VGG", "timm:hf-hub:x/y", ":", "a:b:c"])
def test_no_module_is_imported_by_the_name_in_a_file(name, described, monkeypatch):
    monkeypatch.setattr(architectures, "import_module", lambda place: pytest.fail(f"{place} was imported"))
    with pytest.raises(InputError):
        Classifier.load(described(architecture=name))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)},
        {"images": torch.zeros(2, 1, 8, 8), "labels": torch.zeros(2, dtype=torch.int64)},
        {"images": torch.zeros(2, 0, 8, 8, dtype=torch.uint8), "labels": torch.zeros(2, dtype=torch.int64)},
        {"images": torch.zeros(2, 8, 8, dtype=torch.uint8), "labels": torch.zeros(2, dtype=torch.int64)},
        {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "labels": torch.zeros(3, dtype=torch.int64)},
        {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "labels": torch.tensor([0, -1])},
        {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "labels": torch.tensor([0.0, 1.0])},
    ],
)
def test_a_sample_of_other_things_than_images_and_labels_is_refused(tensors, tmp_path):
    save_file(tensors, tmp_path / "sample.safetensors", {METADATA_KEY: json.dumps({"kind": "synthetic sample"})})
    with pytest.raises(InputError, match="sample.safetensors' holds .*not images"):
        SyntheticSample.load(tmp_path / "sample.safetensors")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"class_names": "abc"}, "class_names: 'abc' is refused"),
        ({"class_names": [1, 2, 3]}, "class_names.0: 1 is refused"),
        ({"class_names": ["a", "b", "c\x07"]}, "the name of class 2 "),
        ({"class_names": ["a", "b", "c" * 10**5]}, "the name of class 2 has 100000 characters"),
        ({"encoder": 7}, "encoder: 7 is refused"),
        ({"revision": None}, "revision: None is refused"),
    ],
)
def test_a_table_whose_header_has_wrong_kinds_is_refused(said, words, tmp_path):
    known = {"kind": "label embeddings", "class_names": [*CLASSES], "encoder": "e", "revision": "r", "prompt": "{}"}
    header = {METADATA_KEY: json.dumps({**known, **said})}
    save_file({"embeddings": torch.rand(3, 6)}, tmp_path / "table.safetensors", header)
    with pytest.raises(InputError, match=words):
        import_table("table.safetensors", tmp_path / "table.safetensors", CLASSES)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn])
def test_a_foreign_table_of_other_numbers_is_refused(dtype, tmp_path):
    save_file({"embeddings": torch.ones(3, 6).to(dtype)}, tmp_path / "table.safetensors")
    with pytest.raises(InputError, match=f"is {dtype} of shape"):
        import_table("table.safetensors", tmp_path / "table.safetensors", CLASSES)


def test_a_sample_of_images_that_the_models_do_not_take_is_refused(teacher, distill_config, runtime):
    sample = SyntheticSample(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="probe_sample: its images are .3, 8, 8., but .* run distill again"):
        compare_models(teacher, teacher, sample, distill_config(), None, None, runtime)


def test_a_student_is_not_compared_with_a_teacher_whose_normalisation_was_changed_since(
    teacher, distill_config, runtime
):
    sample = SyntheticSample(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    changed = Classifier(teacher.network, teacher.architecture, CLASSES, replace(teacher.images, mean=(0.1,)))
    with pytest.raises(InputError, match=r"teacher\.normalisation: .* mean=\(0\.1,\).*; set it back, or run distill"):
        compare_models(changed, teacher, sample, distill_config(), None, None, runtime)
