"""Changes files at random and reads them in a process of its own, so that a crash there is noticed."""

import json
import resource
import signal
import struct
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from nayer.core.errors import InputError
from nayer.core.tensors import METADATA_KEY
from nayer.datasets.base import given_names
from nayer.datasets.config import DataConfig
from nayer.datasets.known import KNOWN
from nayer.datasets.pictures import read_pictures
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.export.onnx import OnnxFile
from nayer.lte.embeddings import check_class_names
from nayer.lte.tables import import_table
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier
from nayer.models.weights import fit
from nayer.synthesis.sample import SyntheticSample
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.transformers import describe, read

CLASSES = ("ant", "bee", "cat")
SECONDS = 10
PNG = b"\x89PNG\r\n\x1a\n"
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
DEEP: list[Any] = []
for _ in range(400):
    DEEP = [DEEP]
PLAIN = (None, True, -1, 0, 7, 10**9, 2**63, 10**30, 1e308, float("nan"), "", [], {}, [1, 2], DEEP)
TEXTS = (
    "a" * 5000,
    "../x",
    "os:system",
    "wrn-994-99",
    "timm:vit_7b_patch16_dinov3",
    "F8_E4M3",
    "I64",
    "\ud800",
    "\x1b[2J",
)
ODD, GONE = (*PLAIN, *TEXTS), object()


def weights_in(path: Path) -> None:
    fit(build_network("wrn-10-1", 1, 3), read_weights(path, "weights"), f"'{path.name}'", "weights")


def picture_in(path: Path) -> None:
    read_pictures(path.parent, [path], 8)


def names_in(path: Path) -> None:
    data = DataConfig(dataset="none", folder="", image_size=8, channels=None, class_names=str(path))
    check_class_names(given_names(data) or (), "data.class_names")


def published_in(name: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        known = replace(KNOWN[name], validation_size=5)
        folder = path.parents[len(Path(known.required[0]).parts) - 1]
        size = known.spec.size
        known.load(DataConfig(dataset=name, folder=str(folder), image_size=size, channels=None, class_names=None), ())

    return read


def keeping_in(folder: Path) -> RuntimeConfig:
    """Runtime settings by which every state is kept, in `folder`."""
    machine = {"device": "cpu", "precision": "fp32", "compile": False, "threads": 1, "memory_gib": 4}
    alone = {"processes": 1, "machines": 1, "address": None}
    return RuntimeConfig(**machine, **alone, resume="auto", resume_folder=str(folder), checkpoint_seconds=1e-9)


def state_in(path: Path) -> None:
    """Load the kept state; the fresh start that follows an unreadable one counts as refused."""
    reporter = NullReporter()
    reporter.said = []
    reporter.say = reporter.said.append
    state = ResumePoint(keeping_in(path.parents[1]), path.parent.name, {"seed": 1}, reporter).load()
    if state is None:
        assert "starting afresh" in reporter.said[0]
        raise InputError(reporter.said[0])


def folder_of_transformers(path: Path) -> None:
    folder = str(path.parent)
    about = describe(folder)
    names, channels = about.class_names or CLASSES, len(about.mean or (0, 0, 0))
    fit(build_network(about.architecture, channels, len(names)), read(folder), "'it'", "weights")


def onnx_in(path: Path) -> None:
    OnnxFile.load(path).predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


@dataclass(frozen=True)
class Reader:
    """A function that reads the file at `place`, and the format by which `changed` changes the file from within."""

    place: str
    read: Callable[[Path], object]
    within: str = ""


RAW, BATCHES = "FashionMNIST/raw", "cifar-10-batches-py"
READERS = {
    "classifier": Reader("classifier.safetensors", Classifier.load, "header"),
    "table": Reader("table.safetensors", lambda path: import_table("table", path, CLASSES), "header"),
    "foreign table": Reader("foreign.safetensors", lambda path: import_table("table", path, CLASSES), "header"),
    "sample": Reader("sample.safetensors", SyntheticSample.load, "header"),
    "safetensors": Reader("weights.safetensors", weights_in, "header"),
    "zip pickle": Reader("weights.pt", weights_in, "zip"),
    "legacy pickle": Reader("legacy.pth", weights_in),
    "pt2": Reader("program.pt2", weights_in, "zip"),
    "configuration": Reader("hub/config.json", folder_of_transformers, "json"),
    "image processor": Reader("hub/preprocessor_config.json", folder_of_transformers, "json"),
    "image processor that crops": Reader("crop/preprocessor_config.json", folder_of_transformers, "json"),
    "index of weights": Reader("hub/model.safetensors.index.json", folder_of_transformers, "json"),
    "weights of an index": Reader("hub/model-00001-of-00002.safetensors", folder_of_transformers, "header"),
    "onnx": Reader("student.onnx", onnx_in),
    "resume state": Reader("resume/stage/state.pt", state_in, "zip"),
    "names": Reader("names.txt", names_in),
    "png": Reader("picture.png", picture_in, "png"),
    "jpeg": Reader("picture.jpg", picture_in),
    "idx images": Reader(f"{RAW}/train-images-idx3-ubyte", published_in("fashion_mnist")),
    "idx labels": Reader(f"{RAW}/t10k-labels-idx1-ubyte", published_in("fashion_mnist")),
    "cifar": Reader(f"{BATCHES}/data_batch_1", published_in("cifar10")),
}


def changed_bytes(content: bytes) -> st.SearchStrategy[bytes]:
    """Content with bits flipped, numbers written, blocks cut, doubled or inserted, or the end lost."""
    place = st.integers(0, max(0, len(content) - 1))
    length = st.integers(1, max(1, min(len(content), 4096)))
    if not content:
        return st.binary(min_size=1, max_size=64)
    flip = st.tuples(place, st.integers(0, 7)).map(
        lambda drawn: (drawn[0], 1, bytes([content[drawn[0]] ^ 1 << drawn[1]]))
    )
    packed = st.sampled_from(
        [struct.pack(form, n) for n in NUMBERS for form in ["<Q", ">Q", "<I", ">I", "B"] if fits(form, n)]
    )
    number = st.tuples(place, packed).map(lambda drawn: (drawn[0], len(drawn[1]), drawn[1]))
    cut = st.tuples(place, length, st.just(b""))
    doubled = st.tuples(place, st.just(0), st.builds(lambda at, size: content[at : at + size], place, length))
    brought = st.tuples(place, st.just(0), st.binary(min_size=1, max_size=64))
    end = place.map(lambda at: (at, len(content), b""))
    changes = st.lists(st.one_of(flip, number, cut, doubled, brought, end), min_size=1, max_size=3)
    return changes.map(lambda drawn: applied(content, drawn))


def fits(form: str, number: int) -> bool:
    return number < 2 ** (8 * struct.calcsize(form))


def applied(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, size, new in changes:
        content = content[:at] + new + content[at + size :]
    return content


def changed_text(text: str) -> st.SearchStrategy[str]:
    """JSON with one value, anywhere in it, replaced or removed, or text that is no longer JSON."""
    value = json.loads(text)
    others = st.tuples(st.sampled_from([*places(value)]), st.sampled_from([GONE, *ODD]))
    cuts = st.tuples(
        st.integers(0, len(text) - 1), st.integers(0, 9), st.sampled_from(["", "{", "[" * 3000, '"', "NaN"])
    )
    return others.map(lambda drawn: json.dumps(with_value(value, *drawn))) | cuts.map(
        lambda drawn: text[: drawn[0]] + drawn[2] + text[drawn[0] + drawn[1] :]
    )


def changed_json(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON file changed by `changed_text`."""
    return changed_text(content.decode()).map(lambda text: text.encode(errors="surrogatepass"))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values nested within a value."""
    yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else []):
        yield from places(each, (*path, key))


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with `new` at the end of `path`."""
    if not path:
        return None if new is GONE else new
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    kept = {
        key: with_value(each, path[1:], new) if key == path[0] else each
        for key, each in pairs
        if not (new is GONE and path == (key,))
    }
    return kept if isinstance(value, dict) else [*kept.values()]


def changed_header(content: bytes) -> st.SearchStrategy[bytes]:
    """A safetensors file with a changed header, or changed metadata of this project; the header's length is right."""
    length = struct.unpack("<Q", content[:8])[0]
    text, rest = content[8 : 8 + length].decode(), content[8 + length :]
    parsed = json.loads(text)
    headers = changed_text(text)
    if METADATA_KEY in parsed.get("__metadata__", {}):
        inner = changed_text(parsed["__metadata__"][METADATA_KEY])
        headers |= inner.map(lambda new: json.dumps({**parsed, "__metadata__": {METADATA_KEY: new}}))
    return headers.map(lambda new: struct.pack("<Q", len(new.encode())) + new.encode() + rest)


def changed_entry(content: bytes) -> st.SearchStrategy[bytes]:
    """A zip archive with one changed entry, whose checksum is right."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}

    def repacked(name: str, new: bytes) -> bytes:
        target = BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for each, old in entries.items():
                archive.writestr(each, new if each == name else old)
        return target.getvalue()

    def of(name: str) -> st.SearchStrategy[bytes]:
        texts = [changed_text(entries[name].decode()).map(str.encode)] if name.endswith(".json") else []
        return st.one_of(changed_bytes(entries[name]), *texts).map(lambda new: repacked(name, new))

    # Pickles and descriptions are changed more often: there, more can go wrong than in the numbers.
    told = [name for name in entries if name.endswith((".pkl", ".json"))]
    return st.one_of(st.sampled_from(told), st.sampled_from(sorted(entries))).flatmap(of)


def changed_chunk(content: bytes) -> st.SearchStrategy[bytes]:
    """A PNG picture with one changed chunk, whose checksum is right."""
    starts, at = [], len(PNG)
    while at < len(content):
        starts.append(at)
        at += 12 + int.from_bytes(content[at : at + 4])

    def with_chunk(at: int, new: bytes) -> bytes:
        kind, end = content[at + 4 : at + 8], at + 12 + int.from_bytes(content[at : at + 4])
        chunk = struct.pack(">I", len(new)) + kind + new + struct.pack(">I", zlib.crc32(kind + new))
        return content[:at] + chunk + content[end:]

    def of(at: int) -> st.SearchStrategy[bytes]:
        old = content[at + 8 : at + 8 + int.from_bytes(content[at : at + 4])]
        return changed_bytes(old).map(lambda new: with_chunk(at, new)) if old else st.just(content[:at])

    return st.sampled_from(starts).flatmap(of)


def changed(reader: Reader, content: bytes) -> st.SearchStrategy[bytes]:
    """Changes to the bytes of the file, and to what is within its format."""
    within = {"json": changed_json, "header": changed_header, "zip": changed_entry, "png": changed_chunk}
    return changed_bytes(content) | within[reader.within](content) if reader.within else changed_bytes(content)


def peak() -> int:
    """Peak resident memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def batch(name: str, case: int, files: int, folder: Path) -> None:
    """Change the reader's file `files` times, read it each time, and write the outcome into `folder`."""
    torch.set_num_threads(1)
    reader, ends, number = READERS[name], Counter(), count()
    path = folder / reader.place
    content = path.read_bytes()
    reader_before(reader, path)
    before = peak()

    @seed(case)
    @settings(
        max_examples=files,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(changed(reader, content))
    def read(new: bytes) -> None:
        path.write_bytes(new)
        next(number)
        # Only the end of the process stops a loop in C.
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            reader.read(path)
            ends["read"] += 1
        except InputError:
            ends["refused"] += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    try:
        read()
    except BaseException:
        (folder / "fault.txt").write_text(traceback.format_exc())
        raise
    result: dict[str, Any] = {**ends, "tried": next(number), "more_mib": peak() - before}
    (folder / "result.json").write_text(json.dumps(result))


def reader_before(reader: Reader, path: Path) -> None:
    """Read one intact file, so that the memory of the imports is not counted for a changed one."""
    content = path.read_bytes()
    try:
        reader.read(path)
    except InputError:
        assert reader.place.startswith(BATCHES), "only CIFAR's real files have the right md5"
    path.write_bytes(content)
