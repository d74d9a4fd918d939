"""Create a scenario for an existing teacher: the files of `conf/<name>`, based on another scenario or a recipe."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nayer.core.errors import InputError, mistake, reason
from nayer.core.files import check_folders
from nayer.datasets.config import DataConfig
from nayer.datasets.known import KNOWN
from nayer.datasets.sources import SOURCES as DATA_SETS
from nayer.distillation.budget import scaled
from nayer.engine.progress import Reporter
from nayer.lte.encoders import foreseen_twins
from nayer.mlops.registry.teachers import SOURCES
from nayer.models.architectures import is_own
from nayer.models.classifier import Classifier
from nayer.pipelines import CHAIN
from nayer.scenarios.method import by_method
from nayer.scenarios.minutes import LEAVES, VIEWS, fill, recipe
from nayer.scenarios.names import note_on_names
from nayer.scenarios.options import MODEL, TeacherOptions, check_options, check_said, preset_or_values
from nayer.scenarios.student import chosen_student, compared, start
from nayer.synthesis.parts.batchnorm import layers_with_statistics
from nayer.synthesis.registry import METHODS
from nayer.teachers.config import TeacherConfig
from nayer.teachers.pretrained import load_pretrained
from nayer.teachers.sources import describe
from nayer.workflow.configuration import CONFIG_LOADER_ARGS, ConfigLoader
from nayer.workflow.parameters import Parameters, check_types
from nayer.workflow.preflight import check_parameters

NAMES_FILE = "class_names.txt"


def create(project: Path, name: str, options: TeacherOptions, reporter: Reporter) -> Classifier:
    """Write `conf/<name>`; the teacher is loaded first, and returned.

    Raises:
        InputError: the name is taken or invalid, or the options or the teacher cannot be used; nothing is written.
    """
    check_options(project, name, options)
    folder = project / "conf" / name
    check_folders([folder], "NAME: ")
    groups = parameters(options, reporter)
    try:
        data = DataConfig.model_validate({"channels": None, **groups["data"]})
        teacher = TeacherConfig.model_validate(groups["teacher"])
    except ValidationError as error:
        # For a value that may be a name or numbers, the last error says what is wrong with the numbers.
        raise InputError(f"{mistake(error.errors()[-1])}; correct it.") from error
    if note := note_on_names(options, data):
        reporter.say(note)
    found = load_pretrained(teacher, data, SOURCES)
    if data.dataset == "test_folder":
        groups["data"]["channels"] = found.images.channels
    # Class names are kept in conf/, and so in git, wherever they came from.
    groups["data"]["class_names"] = f"conf/{name}/{NAMES_FILE}"
    groups["distill"] = distillation(project, options, found)
    made_of_it = groups["distill"]["student"].get("start", "random") != "random"
    if not layers_with_statistics(found):
        beside = ", and procedural pictures are added (distill.leaves)" * ("leaves" in groups["distill"])
        chosen = " and ".join(each for each in ("LIKE", "STUDENT") if getattr(options, each.lower()))
        better = f"; omit {chosen} for what helps most (docs/results/priors.md)" if chosen else ""
        weaker = "" if made_of_it else f": expect a weaker student{better}"
        reporter.say(f"The teacher has no BatchNorm2d, so distill.synthesis.bn_weight is 0{beside}{weaker}.")
    if made_of_it:
        reporter.say("The student, of its teacher's family, starts from its weights (distill.student.start).")
    part = project / "conf" / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        with writing(folder):
            part.mkdir()
            (part / NAMES_FILE).write_text("".join(f"{each}\n" for each in found.class_names))
            (part / "globals.yml").write_text(f"scenario: {name}\n")
            checked = as_run(project, part, groups, found.class_names)
        check_parameters(checked, CHAIN)
        if note := foreseen_twins(checked.lte, found.class_names):
            reporter.warn(note)
        reporter.say(compared(groups["distill"]["student"]["architecture"], found))
        if options.minutes:
            schedule, runtime = fill(checked, found, options.minutes, reporter)
            groups["distill"] = scaled(groups["distill"], schedule)
            groups |= {"runtime": runtime} if runtime else {}
            with writing(folder):
                as_run(project, part, groups, found.class_names)
        with writing(folder):
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failed write of a scenario's files into an InputError; nothing but writing belongs inside."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"NAME: '{folder}' could not be written ({reason(error)}); make room, or make it writable."
        ) from error


def as_run(project: Path, part: Path, groups: Mapping[str, Any], class_names: Iterable[str]) -> Parameters:
    """Write the groups of parameters, and read them back as a run of the scenario would.

    Raises:
        InputError: a run would refuse them.
    """
    for group, values in groups.items():
        (part / f"parameters_{group}.yml").write_text(yaml.safe_dump({group: values}, sort_keys=False))
    merged = ConfigLoader(str(project / "conf"), env=part.name, **CONFIG_LOADER_ARGS)["parameters"]
    merged["data"]["class_names"] = list(class_names)  # their file is not yet in its place
    check_types(merged)
    return Parameters.model_validate(merged)


def parameters(options: TeacherOptions, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """Groups of parameters of the new scenario, by name, except `distill`."""
    known = options.test_data in DATA_SETS
    source, about = describe(options.teacher, SOURCES)
    if about.note:
        reporter.say(about.note)
    own = {"mean": list(about.mean), "std": list(about.std)} if about.mean and about.std else None
    normalisation = preset_or_values(options.normalisation) if options.normalisation else own
    told = about.architecture
    if told and is_own(told) and not options.architecture:
        raise InputError(f"ARCHITECTURE: '{options.teacher}' names the code '{told}'; give it if you trust it.")
    names = options.class_names or (about.class_names and list(about.class_names))
    said = {
        "ARCHITECTURE": options.architecture or told,
        "CLASS_NAMES": names or options.test_data in KNOWN,
        "IMAGE_SIZE": options.image_size or about.image_size,
        "NORMALISATION": normalisation,
    }
    check_said(options.teacher, **said)
    data: dict[str, Any] = {
        "dataset": options.test_data if known else "test_folder",
        "folder": "data/01_raw" if known else options.test_data,
        "image_size": said["IMAGE_SIZE"],
        "class_names": names,
    }
    if (crop := options.crop or about.crop) < 1:
        data["crop"] = crop
        if options.test_data != "none":
            reporter.say(told_of_crop(crop, options.test_data))
    teacher = {
        "source": source,
        "weights": about.weights,
        "architecture": said["ARCHITECTURE"],
        "normalisation": normalisation,
        "training": None,
    }
    return {"data": data, "lte": {}, "teacher": teacher, "evaluate": {}, "promote": {}}


def told_of_crop(crop: float, test_data: str) -> str:
    """Message on how test pictures are shown to a teacher that takes pictures without their edges."""
    said = f"The teacher sees the middle {crop:.3g} of a picture's shorter side (CROP)"
    if test_data in DATA_SETS:
        return f"{said}; {test_data} is shown whole, so its accuracy may be lower than its owner measured."
    return f"{said}, also in testing (data.crop)."


def distillation(project: Path, options: TeacherOptions, teacher: Classifier) -> dict[str, Any]:
    """Parameters of `distill`: the scenario taken over or the recipe for minutes, with chosen student and method."""
    bare = not layers_with_statistics(teacher)
    # Published recipes are for teachers with BatchNorm; others get what helps them, whatever the schedule.
    ours = not options.like and bool(options.minutes or (bare and not options.student))
    if options.minutes and not options.like:
        distill = recipe(teacher.images, len(teacher.class_names))
    else:
        model = project / "conf" / (options.like or MODEL) / "parameters_distill.yml"
        # A scenario may leave either group to conf/base.
        distill = {"synthesis": {}, "student": {}} | yaml.safe_load(model.read_text())["distill"]
    if chosen := chosen_student(options.student, teacher, ours):
        distill["student"]["architecture"] = chosen
    if ours:
        distill["student"] |= start(distill["student"]["architecture"], teacher)
    if options.method:
        distill = by_method(options.method, distill)
    if bare:
        distill["synthesis"]["bn_weight"] = 0.0  # ignored by a method without this term
        # On grey images, leaves gained nothing where that was measured.
        if ours and teacher.images.channels > 1:
            add_leaves(distill)
    return distill


def add_leaves(distill: dict[str, Any]) -> None:
    """Add leaves and their cached views, if the method keeps a memory that can hold them."""
    if METHODS[distill["synthesis"].get("method", "nayer")].keeps_memory:  # the default is that of conf/base
        distill["leaves"] = LEAVES * distill["synthesis"]["batch_size"]
        distill["student"]["cached_targets"] = VIEWS
