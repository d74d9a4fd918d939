"""All settings are resolved, and wrong ones refused, once, before anything is built."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from nayer.core.errors import InputError
from nayer.distillation.cost import shortened
from nayer.distillation.plan import plan, shard_config
from nayer.engine.fingerprint import differences
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.synthesis.methods.nayer import Nayer


def test_a_plan_is_resolved_and_frozen(make_plan):
    made = make_plan()
    assert (made.device, made.precision, made.compile) == (torch.device("cpu"), "fp32", False)
    assert made.method is Nayer
    assert made.capacity == made.schedule.images == 25 * (2 + 1 + 1)
    with pytest.raises(FrozenInstanceError):
        made.seed = 2


def test_table_and_teacher_must_have_the_same_number_of_classes(teacher, distill_config, runtime):
    table = LabelEmbeddings(torch.randn(2, 6), ("a", "b"), "random", "", "")
    with pytest.raises(InputError, match="2 classes, the teacher 3"):
        plan(teacher, table, distill_config(), runtime, 0)


def test_a_method_that_needs_a_table_is_refused_without_one_and_another_is_not(teacher, distill_config, runtime):
    with pytest.raises(InputError, match="NAYER needs a table"):
        plan(teacher, None, distill_config(), runtime, 0)
    assert plan(teacher, None, distill_config(synthesis__method="fast_dfkd"), runtime, 0).embeddings is None


def test_a_table_that_the_method_does_not_read_changes_no_fingerprint(make_plan, teacher, distill_config, runtime):
    without = plan(teacher, None, distill_config(synthesis__method="fast_dfkd"), runtime, 5)
    assert make_plan(synthesis__method="fast_dfkd").fingerprint == without.fingerprint
    assert "label_embeddings" in make_plan().fingerprint


def test_class_names_in_another_order_are_warned_of(teacher, embeddings, distill_config, runtime):
    other = replace(embeddings, class_names=embeddings.class_names[::-1])
    assert any("class names" in warning for warning in plan(teacher, other, distill_config(), runtime, 0).warnings)


@pytest.mark.parametrize("method", ["nayer", "fast_dfkd", "dafl"])
def test_images_that_the_generator_cannot_make_are_refused(method, teacher, embeddings, distill_config, runtime):
    odd = Classifier(teacher.network, "wrn-10-1", teacher.class_names, replace(teacher.images, size=9))
    with pytest.raises(InputError, match="data.image_size: 9"):
        plan(odd, embeddings, distill_config(synthesis__method=method, student__steps=4), runtime, 0)


def test_student_steps_that_batches_do_not_divide_are_refused_where_both_alternate(make_plan):
    changes = {"synthesis__batches": 2, "student__steps": 3}
    assert make_plan(**changes)
    with pytest.raises(InputError, match=r"distill\.student\.steps: 3 .* 2 batches"):
        make_plan(synthesis__method="dafl", **changes)


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [({"closing_epochs": 2}, "leave at least one"), ({"synthesis__method": "dafl", "closing_epochs": 1}, "set 0")],
)
def test_epochs_without_images_that_cannot_be_are_refused(changes, way_out, make_plan):
    with pytest.raises(InputError, match=rf"distill\.closing_epochs: \d of 2 epochs .*; .*{way_out}\."):
        make_plan(epochs=2, student__steps=4, **changes)


def test_a_method_without_a_memory_has_room_for_one_batch(make_plan):
    assert make_plan(synthesis__method="dafl").capacity == 25


def test_leaves_beside_images_that_are_not_kept_are_refused(make_plan):
    with pytest.raises(InputError, match=r"distill\.leaves: 5, but with dafl a student learns from the newest"):
        make_plan(synthesis__method="dafl", leaves=5)


def test_a_student_that_has_fewer_images_than_its_batch_takes_is_warned_of(make_plan):
    changes = {"synthesis__batch_size": 6, "student__batch_size": 16, "student__steps": 4}
    warnings = make_plan(synthesis__method="dafl", **changes).warnings
    assert any("student.batch_size: 16" in each and "newest 6 images" in each for each in warnings)
    assert not any("batch_size" in each for each in make_plan(**changes).warnings), "NAYER's are kept"


def test_cached_targets_that_take_more_than_the_memory_may_are_warned_of(make_plan, runtime):
    small = runtime.model_copy(update={"memory_gib": 1e-9})
    made = make_plan(student__cached_targets=2)
    warned = plan(made.teacher, made.embeddings, made.config, small, 0).warnings
    assert any("cached_targets" in each and "only images go to disk" in each for each in warned)
    assert not made.warnings
    with_features = make_plan(student__cached_targets=2, student__feature_weight=1.0)
    assert with_features.target_gib / made.target_gib == pytest.approx((3 + 2 * (3 + 64)) / (3 + 2 * 3))


@pytest.mark.parametrize("changes", [{}, {"memory_gib": 1e-9}, {"processes": 2}, {"machines": 2}], ids="".join)
def test_steps_may_be_recorded_by_one_process_with_all_images_in_memory(changes, make_plan, runtime):
    made = make_plan()
    found = plan(made.teacher, made.embeddings, made.config, runtime.model_copy(update=changes), 0)
    assert found.record is (changes == {})


def test_every_process_gets_its_share_and_a_rest_is_refused(distill_config):
    config = distill_config(synthesis__batch_size=24, student__batch_size=16, memory=40, leaves=12)
    shard = shard_config(config, 4)
    assert (shard.synthesis.batch_size, shard.student.batch_size, shard.memory, shard.leaves) == (6, 4, 10, 3)
    with pytest.raises(InputError, match=r"distill\.memory: 40 images cannot be divided among 16"):
        shard_config(
            config.model_copy(
                update={
                    "synthesis": config.synthesis.model_copy(update={"batch_size": 64}),
                    "student": config.student.model_copy(update={"batch_size": 64}),
                }
            ),
            16,
        )


def test_the_fingerprint_knows_what_changes_the_student(make_plan):
    assert make_plan().fingerprint == make_plan().fingerprint
    assert make_plan().fingerprint != make_plan(synthesis__ce_weight=0.25).fingerprint
    assert make_plan().fingerprint != make_plan(seed=6).fingerprint


def test_the_fingerprint_knows_the_images_that_the_teacher_expects(
    make_plan, teacher, embeddings, distill_config, runtime
):
    brighter = replace(teacher.images, mean=tuple(each / 2 for each in teacher.images.mean))
    other = Classifier(teacher.network, teacher.architecture, teacher.class_names, brighter)
    found = plan(other, embeddings, distill_config(), runtime, 5).fingerprint
    assert differences(make_plan().fingerprint, found) == [
        f"teacher_images.mean: {teacher.images.mean} -> {brighter.mean}"
    ]


def test_a_memory_that_leaves_would_fill_is_refused(make_plan):
    assert make_plan(leaves=6, memory=6 + make_plan().config.synthesis.batch_size)
    with pytest.raises(
        InputError, match=r"distill\.memory: 6 images, but each synthetic batch of \d+ comes with 6 leaves"
    ):
        make_plan(leaves=6, memory=6)
    with pytest.raises(InputError, match=r"distill\.leaves: 1 is too few; take 2 or more"):
        make_plan(leaves=1)


@pytest.mark.parametrize(("leaves", "memory"), [(0, 25), (70, 95)])
def test_what_leaves_cost_is_measured_with_room_for_all_of_them(leaves, memory, make_plan):
    config = make_plan(leaves=leaves).config
    short = shortened(config.model_dump() | {"synthesis": config.synthesis.model_dump()})
    assert short.leaves == leaves
    assert short.memory == memory
