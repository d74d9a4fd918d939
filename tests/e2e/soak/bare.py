"""One small distillation by the library alone, into data/: bare.py METHOD."""

import json
import sys
from pathlib import Path

import torch

from nayer.core.errors import Interrupted, Stopped
from nayer.core.images import ImageSpec
from nayer.distillation.config import DistillConfig
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import Terminal
from nayer.engine.resume import ResumePoint
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier

AUGMENTATION = {"padding": 1, "flip": True}
SYNTHESIS = {
    "batch_size": 12,
    "steps": 2,
    "batches": 1,
    "warmup_batches": 2,
    "latent": 16,
    "generator_width": 4,
}
STUDENT = {
    "architecture": "wrn-10-1",
    "batch_size": 16,
    "steps": 3,
    "start": "random",
    "cached_targets": None,
    "refreshed_targets": 0.0,
    "priority": 0.0,
    "rise": 0.0,
    "learning_rate": 0.05,
    "final_learning_rate": 2e-4,
    "feature_weight": 0.0,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "temperature": 20.0,
}
LOOP = {"warmup_epochs": 2, "epochs": 6, "memory": 60, "memory_sample": 30, "probe_images": 30}
CONFIG = {**LOOP, "augmentation": AUGMENTATION, "student": STUDENT}
MACHINE = {"device": "cpu", "precision": "fp32", "compile": False, "threads": 1}
ALONE = {"processes": 1, "machines": 1, "address": None}
KEEPING = {"memory_gib": 4, "resume": "auto", "resume_folder": "data/.resume", "checkpoint_seconds": 1e-6}


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    names, folder = ("ant", "bee", "cat"), Path("data")
    teacher = Classifier.build("wrn-10-1", names, ImageSpec(8, 1, (0.3,), (0.4,))).train()
    with torch.no_grad():
        teacher(torch.rand(64, 1, 8, 8))
    table = LabelEmbeddings(torch.randn(3, 6), names, "random", "seed 1", "unused")
    config = DistillConfig.model_validate({**CONFIG, "synthesis": {**SYNTHESIS, "method": sys.argv[1]}})
    runtime = RuntimeConfig.model_validate({**MACHINE, **ALONE, **KEEPING})
    reporter = Terminal(interval=10)
    made = plan(teacher.eval(), table, config, runtime, 0)
    resume = ResumePoint(runtime, "distill", made.fingerprint, reporter)
    try:
        result = distill(made, resume, reporter)
    except (Interrupted, Stopped) as stop:
        sys.stderr.write(f"{stop}\n")
        return 128 + stop.signal_number if isinstance(stop, Interrupted) else 1
    result.student.save(folder / "student.safetensors")
    result.probes.save(folder / "probes.safetensors")
    (folder / "history.json").write_text(json.dumps(result.history))
    resume.discard()
    return 0


if __name__ == "__main__":
    sys.exit(main())
