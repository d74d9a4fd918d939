"""Generated configurations, right or wrong by construction: wrong ones are refused with their key, right ones start.

They are drawn from the schemas of the parameters, so that a new key is tried without a line here. Settings are YAML as
a person would write it, in the files of an environment or behind --params.
"""

import copy
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from beginnings import BEGUN
from click.testing import CliRunner
from clones import clone

from nayer.cli import cli
from nayer.workflow.parameters import groups

ENV = "generated"
EACH = 50
SETTINGS = {name: kind.model_json_schema() for name, kind in groups().items()}
CHAIN = ("lte", "lte,teacher", "")

# Values for keys whose schema does not say what makes sense on digits. All other text keys keep their value.
CHOICES = {
    "seed": ["0", "7", "9223372036854775807"],
    "data.dataset": ["digits", "!!str digits", '"digits"'],
    "data.folder": ["data/01_raw", "Ördner mit Leerzeichen", "'~/data'"],
    "data.image_size": ["8", "0x8", "+8", "&eight 8"],
    "data.class_names": [
        "null",
        "[a, b, c, d, e, f, g, h, ï, 猫]",
        "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']",
    ],
    "runtime.device": ["auto", "cpu"],
    "runtime.processes": ["1"],
    "runtime.machines": ["1"],
    "runtime.address": ["null", "node1:29400"],
    "runtime.threads": ["null", "1", "2"],
    "runtime.resume": ["auto", "never"],
    "runtime.resume_folder": ["data/.resume/ünï", "data/a b"],
    "lte.encoder": ["one_hot", "random"],
    "lte.revision": ["null", "main", "'0123456'"],
    "lte.prompt": ["'{}'", "ein Foto von 🐈 {}", "a photo of a {}, " + "very " * 200 + "large"],
    "teacher.source": ["train"],
    "teacher.weights": ["null", "teacher.pt"],
    "teacher.architecture": ["wrn-10-1", "wrn-16-1", "wrn-10-2"],
    "teacher.normalisation": ["null", "half", "{mean: [0.5], std: [1]}"],
    "distill.synthesis.method": ["nayer", "!!str nayer", '"nayer"'],
    "distill.closing_epochs": ["0", "0x0"],
    "distill.memory": ["null", "2", "30", "1000"],
    "distill.student.architecture": ["wrn-10-1", "wrn-16-1", "wrn-10-2"],
    "promote.model_name": ["nayer-test", "Ünï 1.2"],
    "promote.onnx": ["null", "student.onnx"],
}
# Key in the error message, and settings that are valid alone but wrong together, or that name something wrong.
CONTRADICTIONS = [
    ("data.image_size", {"data.image_size": "9"}),
    ("data.image_size", {"data.dataset": "image_folder", "data.folder": "pictures", "data.image_size": "10"}),
    ("data.dataset", {"data.dataset": "digit"}),
    ("data.dataset", {"data.dataset": "none", "data.class_names": "[a, b]"}),
    ("data.folder", {"data.dataset": "cifar10", "data.image_size": "32"}),
    ("data.folder", {"data.dataset": "image_folder", "data.folder": "x" * 300}),
    ("data.folder", {"data.dataset": "image_folder", "data.folder": "~nobody-of-that-name/x"}),
    ("data.class_names", {"data.class_names": "[a, b, c]"}),
    ("data.class_names", {"data.class_names": "[a, a, c, d, e, f, g, h, i, j]"}),
    ("data.class_names", {"data.class_names": "['', b, c, d, e, f, g, h, i, j]"}),
    ("data.class_names", {"data.class_names": "names.txt"}),
    ("data.class_names", {"data.class_names": "x" * 300}),
    ("data.class_names", {"data.class_names": "[]"}),
    ("runtime.address", {"runtime.machines": "2"}),
    ("runtime.address", {"runtime.machines": "2", "runtime.address": "node1"}),
    ("runtime.device", {"runtime.device": "cuda:77"}),
    ("runtime.device", {"runtime.device": "meta"}),
    ("runtime.device", {"runtime.device": "''"}),
    ("runtime.device", {"runtime.device": "gpu"}),
    ("runtime.device", {"runtime.device": "xla"}),
    ("runtime.device", {"runtime.device": "cpu:0", "runtime.processes": "5"}),
    ("distill.synthesis.batch_size", {"runtime.processes": "7"}),
    ("distill.student.batch_size", {"runtime.processes": "5"}),
    ("distill.memory", {"distill.memory": "1"}),
    ("distill.closing_epochs", {"distill.epochs": "2", "distill.closing_epochs": "2"}),
    ("distill.closing_epochs", {"distill.synthesis.method": "dafl", "distill.closing_epochs": "1"}),
    ("runtime.resume", {"runtime.resume": "require"}),
    ("runtime.resume_folder", {"runtime.resume_folder": "/proc/nowhere"}),
    ("runtime.resume_folder", {"runtime.resume_folder": "x" * 300}),
    ("runtime.resume_folder", {"runtime.resume_folder": "pyproject.toml/x"}),
    ("lte.prompt", {"lte.prompt": "a photo"}),
    ("lte.prompt", {"lte.prompt": "''"}),
    ("lte.prompt", {"lte.prompt": "'{} {}'"}),
    ("lte.encoder", {"lte.encoder": "minilmm"}),
    ("lte.encoder", {"lte.encoder": "''"}),
    ("lte.encoder", {"lte.encoder": "~nobody-of-that-name/x"}),
    ("lte.encoder", {"lte.encoder": "x" * 300}),
    ("lte.encoder", {"lte.encoder": "./nowhere"}),
    ("lte.encoder", {"lte.encoder": "table.safetensors"}),
    ("teacher.architecture", {"teacher.architecture": "wrn-11-1"}),
    ("teacher.architecture", {"teacher.architecture": "''"}),
    ("teacher.architecture", {"teacher.architecture": "vgg-11-bn"}),
    ("teacher.architecture", {"teacher.architecture": "nowhere.at_all:build"}),
    ("teacher.architecture", {"teacher.architecture": "os:getcwd"}),
    ("teacher.architecture", {"teacher.architecture": "'::'"}),
    ("teacher.source", {"teacher.source": "trian"}),
    ("distill.synthesis.method", {"distill.synthesis.method": "nayr"}),
    ("distill.synthesis", {"distill.synthesis.method": "dafl", "distill.synthesis.gravity": "1.0"}),
    ("distill.student.steps", {"distill.synthesis.method": "dafl", "distill.synthesis.batches": "2"}),
    ("teacher.training", {"teacher.training": "null"}),
    ("teacher.weights", {"teacher.source": "file", "teacher.normalisation": "half"}),
    ("teacher.weights", {"teacher.source": "file", "teacher.weights": "''", "teacher.normalisation": "half"}),
    ("teacher.weights", {"teacher.source": "file", "teacher.weights": "gone.pt", "teacher.normalisation": "half"}),
    ("teacher.weights", {"teacher.source": "file", "teacher.weights": "x" * 300, "teacher.normalisation": "half"}),
    ("teacher.weights", {"teacher.source": "mlflow", "teacher.weights": "models:/no/1"}),
    ("teacher.weights", {"teacher.source": "mlflow", "teacher.weights": "nothing"}),
    ("teacher.weights", {"teacher.source": "torchvision", "teacher.weights": "no"}),
    ("teacher.weights", {"teacher.source": "torchvision", "teacher.weights": "None"}),
    ("distill.student.architecture", {"distill.student.architecture": "vgg-11-bn"}),
    ("distill.student.architecture", {"distill.student.architecture": "timm:no-such-network"}),
    ("distill.student.architecture", {"distill.student.architecture": "torchvision:resnet18"}),
    ("runtime.address", {"runtime.address": "user:tok3n@node1:29400"}),
    ("promote.model_name", {"promote.model_name": "a/b"}),
    ("promote.model_name", {"promote.model_name": "it's"}),
    ("promote.model_name", {"promote.model_name": "''"}),
    ("scenario", {"scenario": "null"}),
    ("scenario", {"scenario": "a/b"}),
    ("seed", {"seed": "9223372036854775808"}),
    ("seed", {"seed": "'1'"}),
    (
        "evaluate.baselines",
        {"data.dataset": "test_folder", "data.folder": "pictures/test", "evaluate.baselines": "[real]"},
    ),
]
# Text in place of a parameters file, or (TWICE) appended to it.
DAMAGE = [
    "distill: [1",
    "distill: {a: 1",
    "\tdistill: 1",
    "a: b: c",
    "'",
    "- 1\n- 2",
    "7",
    "%",
    "distill: *nobody",
    "distill: {epochs: 1, epochs: 2}",
]
TWICE = "\ndistill:\n  epochs: 2\ndistill:\n  epochs: 3\n"


@dataclass
class Drawn:
    """Settings as YAML by dotted key, how they are given, and words of the expected error; without words, it starts."""

    settings: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    damage: str = ""
    by_params: bool = False
    pipelines: str = ""
    words: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Arguments after `kedro`."""
        params = [f"{key}={value}" for key, value in self.settings.items()] if self.by_params else []
        chosen = ["--pipelines", self.pipelines] if self.pipelines else []
        return ["run", "--env", ENV, *chosen, *(["--params", ",".join(params)] if params else [])]


def followed(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """A schema, or the one that it refers to."""
    return root["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def parts_of(root: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """Schemas that a node allows; of the methods only the first, which is the test scenario's."""
    return [followed(root, each) for each in (node, *node.get("anyOf", []), *node.get("oneOf", [])[:1])]


def node_of(key: str) -> dict[str, Any]:
    """The schema of a dotted key."""
    group, *path = key.split(".")
    root = node = SETTINGS[group]
    for part in path:
        node = next(each["properties"][part] for each in parts_of(root, node) if part in each.get("properties", {}))
    return followed(root, node)


def keys_below(key: str) -> list[str]:
    """All keys below a key, groups before their contents; optional groups are followed, too."""
    node, root = node_of(key), SETTINGS[key.partition(".")[0]]
    names = [name for part in parts_of(root, node) for name in part.get("properties", {})]
    return [below for name in names for below in (f"{key}.{name}", *keys_below(f"{key}.{name}"))]


KEYS = [key for group in SETTINGS for key in (group, *keys_below(group))]
# Keys that the test scenario does not set, so that none of them can be missing.
OPTIONAL = [key for key in KEYS if key.startswith("teacher.normalisation.") or "default" in node_of(key)]


def alternatives(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [each if "$ref" not in each else {"type": "object"} for each in node.get("anyOf", [node])]


def right(key: str, rng: random.Random) -> str | None:
    """A value that the key may have whatever the others are; None to leave the key as it is."""
    if key in CHOICES:
        return rng.choice(CHOICES[key])
    nodes = alternatives(node_of(key))
    if any(each.get("type") == "object" for each in nodes):
        return None
    node = rng.choice(nodes)
    if "enum" in node:
        return str(rng.choice(node["enum"]))
    least, most = node.get("minimum", node.get("exclusiveMinimum", -10)), node.get("maximum", 1e6)
    match node.get("type"):
        case "boolean":
            return rng.choice(["yes", "no", "true", "off"])
        case "null":
            return rng.choice(["~", "null"])
        case "integer":
            least += "exclusiveMinimum" in node
            number = min(least + rng.choice([0, 0, 1, 2, 3, 7, 30]), most)
            return rng.choice([str(number), hex(number), f"+{number}", f"!!int '{number}'"])
        case "number":
            open_below, open_above = "exclusiveMinimum" in node, "exclusiveMaximum" in node
            most = node.get("exclusiveMaximum", most)
            inner = least + (min(most, least + 2) - least) * rng.choice([0.001, 0.1, 0.5, 0.9])
            ends = [inner if open_below else least, inner if open_above else most]
            number = rng.choice([inner, inner, inner, *ends])
            return rng.choice([repr(float(number)), f"{number:.3e}" if number == inner else repr(float(number))])
        case "array" if "prefixItems" not in node and "enum" in node["items"]:
            return f"[{', '.join(rng.sample(node['items']['enum'], rng.randint(0, len(node['items']['enum']))))}]"
    return None


def wrong(key: str, rng: random.Random) -> str:
    """A value that the key may never have."""
    nodes = alternatives(node_of(key))
    types = {each.get("type", "integer") for each in nodes}
    listed = any("enum" in each for each in nodes)
    found = ["{a: 1}", "[[1], 2]", "2020-01-01", "'1e-3'", "text", "ünï 🐈", "x" * 5000]
    if "string" in types and not listed:
        found = ["{a: 1}", "[[1], 2]", "x" * 5000, r'"a\0b"', r'"a\nb"', r'"\x1b[31m"', "https://user:tok3n@host/x"]
    if "null" not in types:
        found += ["~", "null", "NULL", ""]
    if "boolean" not in types:
        found += ["yes", "no", "True", "OFF"]
    if not types & {"integer", "number"}:
        found += ["5", "2.5", "0x10", "1e-3", ".nan", "-.inf", "0"]
    else:
        found += [".nan", ".inf", "-.INF", "1e400"]
        for each in nodes:
            lowest, highest = each.get("minimum", each.get("exclusiveMinimum")), each.get("maximum")
            found += [str(lowest - 1), f"-{'9' * 30}"] if lowest is not None else []
            found += [str(lowest)] if "exclusiveMinimum" in each else []
            found += [str(highest + 1), f"1{'0' * 30}"] if highest is not None else []
            found += [str(each["exclusiveMaximum"])] if "exclusiveMaximum" in each else []
        found += ["1.5", "1e-3", "1e2", "2.0"] if "number" not in types else []
    return rng.choice(found)


def misspelt(key: str, rng: random.Random) -> str:
    """The key with its last part changed."""
    before, dot, name = key.rpartition(".")
    at = rng.randrange(len(name))
    odd = rng.choice([name[:at] + name[at + 1 :] + "x", name + "s", name.upper(), f"{name} ", "ключ", "x" * 300, "5"])
    return f"{before}{dot}{odd}"


def draw(rng: random.Random) -> Drawn:
    """Draw one configuration, right or wrong with equal chances."""
    some = rng.sample([*KEYS, "seed"], rng.randint(1, 12))
    drawn = Drawn({key: value for key in some if (value := right(key, rng))})
    drawn.pipelines = rng.choice(CHAIN)
    drawn.by_params = rng.random() < 0.3
    if rng.random() < 0.5:
        spoil(drawn, rng)
    # In --params, Kedro splits at commas and knows no braces, and a value cannot start with an anchor.
    if any(set(value) & set(",{}&!\\") or value != value.strip() for value in drawn.settings.values()):
        drawn.by_params = False
    if any(not key.isascii() or key != key.strip() for key in drawn.settings):
        drawn.by_params = False
    return drawn


def spoil(drawn: Drawn, rng: random.Random) -> None:
    """Make a configuration wrong in one way."""
    key = rng.choice(KEYS)
    match rng.choice(["value", "value", "value", "missing", "unknown", "together", "damage"]):
        case "value":
            put(drawn, key, wrong(key, rng))
        case "missing":
            drawn.missing = rng.choice([each for each in KEYS if each not in OPTIONAL])
            drawn.settings = {each: value for each, value in drawn.settings.items() if not related(each, drawn.missing)}
            drawn.by_params, drawn.words = False, (drawn.missing,)
        case "unknown":
            odd = misspelt(key, rng)
            put(drawn, odd, "1")
            drawn.words = tuple(part.strip()[:100] for part in odd.rpartition(".")[::2])
            if related(odd, "teacher.normalisation"):
                drawn.words = ("teacher.normalisation",)
        case "together":
            key, settings = rng.choice(CONTRADICTIONS)
            drawn.settings, drawn.pipelines, drawn.words = dict(settings), "", (key,)
        case "damage":
            drawn.damage, drawn.by_params = rng.choice([*DAMAGE, TWICE]), False
            drawn.words = ("parameters.yml",)


def put(drawn: Drawn, key: str, value: str) -> None:
    """Put one wrong setting among the right ones."""
    drawn.settings = {each: kept for each, kept in drawn.settings.items() if not related(each, key)}
    drawn.settings[key] = value
    drawn.words = (key,)


def related(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


class Configurations:
    """A clone of the project into which configurations are written, one after the other."""

    def __init__(self, project: Path) -> None:
        self.project, self.folder = project, project / "conf" / ENV
        self.folder.mkdir()
        (self.folder / "globals.yml").write_text("scenario: test\n")
        for part in ("train/a", "train/b", "test/a", "test/b"):
            (project / "pictures" / part).mkdir(parents=True)
        self.base = {file: file.read_text() for file in (project / "conf" / "base").glob("parameters*.yml")}
        self.test: dict[str, Any] = {}
        for file in (project / "conf" / "test").glob("parameters*.yml"):
            self.test |= yaml.safe_load(file.read_text())

    def write(self, drawn: Drawn) -> None:
        """Write the environment's file, and those of conf/base without the missing key."""
        tree = copy.deepcopy(self.test)
        for file, text in self.base.items():
            file.write_text(yaml.safe_dump(without(yaml.safe_load(text), drawn.missing)) if drawn.missing else text)
        tree = without(tree, drawn.missing)
        text = with_settings(tree, {} if drawn.by_params else drawn.settings)
        damaged = text + TWICE if drawn.damage == TWICE else drawn.damage
        (self.folder / "parameters.yml").write_text(damaged or text)

    def files(self) -> set[str]:
        """All files of the project except those of MLflow's store."""
        found = (Path(place, name) for place, _, names in os.walk(self.project) for name in names)
        return {str(path) for path in found if "mlflow.db" not in path.name and "__pycache__" not in path.parts}

    def told(self, drawn: Drawn) -> str:
        """Command and file by which a configuration can be tried again."""
        file = "" if drawn.by_params else (self.folder / "parameters.yml").read_text()
        return f"kedro {' '.join(drawn.command())}\nmissing: {drawn.missing}\n{file[:6000]}"


def without(tree: dict[str, Any], key: str) -> dict[str, Any]:
    *path, last = key.split(".")
    place: Any = tree
    for part in path:
        place = place.get(part, {})
    place.pop(last, None)
    return tree


def with_settings(tree: dict[str, Any], settings: dict[str, str]) -> str:
    """The tree as YAML with each setting inserted as written; of overlapping settings, the later one counts."""
    for number, key in enumerate(settings):
        *path, last = key.split(".")
        place = tree
        for part in path:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[last] = f"@{number}@"
    text = yaml.safe_dump(tree, allow_unicode=True, width=10**6)
    for number, value in enumerate(settings.values()):
        text = text.replace(f"'@{number}@'", value)
    return text


@pytest.fixture(scope="module")
def configurations(tmp_path_factory: pytest.TempPathFactory) -> Configurations:
    folder = tmp_path_factory.mktemp("configurations") / "project"
    folder.mkdir()
    return Configurations(clone(folder))


@pytest.mark.campaign(short=1, long=40)
def test_wrong_configurations_are_refused_by_name_and_right_ones_start(case, configurations, monkeypatch):
    monkeypatch.chdir(configurations.project)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "KEDRO_"))]:
        monkeypatch.delenv(name)
    rng, failures = random.Random(case), []
    for number in range(EACH):
        drawn = draw(rng)
        configurations.write(drawn)
        before = configurations.files()
        done = CliRunner().invoke(cli, [*drawn.command(), "--runner", "beginnings.Begin"])
        said = done.output + (f"\n{done.exception!r}" if not isinstance(done.exception, SystemExit) else "")
        good = done.exit_code == 1 and isinstance(done.exception, SystemExit)
        if drawn.words:
            good = good and all(word in said for word in drawn.words) and BEGUN not in said
            good = good and "tok3n" not in said and len(said) < 4000 and configurations.files() == before
        else:
            good = good and BEGUN in said
        if not good:
            failures.append(f"-- {number}: words {drawn.words}\n{configurations.told(drawn)}\n>> {said[-3000:]}")
    assert not failures, f"{len(failures)} of {EACH}\n" + "\n".join(failures)


@pytest.mark.campaign(short=3, long=50)
def test_configurations_on_the_real_command_line(case, configurations, typed, project):
    rng = random.Random(10**6 + case)
    drawn = draw(rng)
    while bool(drawn.words) != bool(case % 2):
        drawn = draw(rng)
    there = Configurations(project)
    there.write(drawn)
    if not drawn.words:
        drawn.pipelines = rng.choice(["lte", "lte,teacher"])
    before = there.files()
    done = typed("kedro", *drawn.command())
    told = f"{there.told(drawn)}\n>> {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, told
    assert "tok3n" not in done.stderr + done.stdout, told
    if drawn.words:
        assert done.returncode == 1, told
        assert all(word in done.stderr for word in drawn.words), told
        assert there.files() == before, told
    else:
        assert done.returncode == 0, told
