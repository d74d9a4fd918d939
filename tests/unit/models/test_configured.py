"""Networks of transformers: a name holds the whole configuration, and absurd sizes are refused unbuilt."""

from importlib.util import find_spec

import pytest
import torch
from transformers import ConvNextConfig, DeiTConfig, MobileNetV2Config, ResNetConfig, SwinConfig, ViTConfig

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier
from nayer.models.configured import check_sizes, configuration, kinds, spelt

KEY = "teacher.architecture"
SMALL = [
    ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, patch_size=2, image_size=16),
    ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4
    ),
    SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=2, image_size=16, patch_size=2),
    MobileNetV2Config(depth_multiplier=0.2, image_size=16),
    ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.model_type)
def test_a_name_says_the_whole_configuration(config, tmp_path):
    name = spelt(config)
    torch.manual_seed(0)
    network = build_network(name, 1, 4, KEY)
    assert {**configuration(name.partition(":")[2], KEY).to_dict()} == config.to_dict()
    classifier = Classifier(network, name, tuple("abcd"), ImageSpec(16, 1, (0.5,), (0.5,))).eval()
    classifier.save(tmp_path / "it.safetensors")
    again = Classifier.load(tmp_path / "it.safetensors")
    images = torch.rand(3, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(again(images), classifier(images))
        assert again(images).shape == (3, 4)


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_kind_can_be_built_but_for_what_wants_another_package(kind):
    if kind == "dinat" and find_spec("natten") is None:
        with pytest.raises(InputError, match="'transformers:dinat' cannot be built .* requires the natten library"):
            build_network("transformers:dinat", 3, 4, KEY)
        return
    with torch.device("meta"):
        assert build_network(f"transformers:{kind}", 3, 4, KEY)


def test_what_any_kind_is_by_default_is_no_claim_that_is_refused():
    """Except for one with four billion weights, which answers questions about an image and has no classes."""
    refused = []
    for kind, config in kinds().items():
        try:
            check_sizes({key: value for key, value in config().to_dict().items() if "label" not in key}, KEY)
        except InputError:
            refused.append(kind)
    assert refused == ["shieldgemma2"]
    check_sizes({"text_config": {"vocab_size": 256_000}}, KEY)  # the vocabulary of SigLIP 2


def test_which_of_the_classes_of_a_kind_it_is_stands_in_the_name():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = DeiTConfig(**sizes, image_size=16, patch_size=4, architectures=["DeiTForImageClassificationWithTeacher"])
    for each, head in ((config, "distillation_classifier"), (DeiTConfig(**sizes), "classifier")):
        network = build_network(spelt(each), 3, 4, KEY)
        assert {name.split(".")[1] for name, _ in network.named_parameters()} >= {head}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transformers:convnxt", "Did you mean 'transformers:convnext'"),
        ("transformers:bert", "unknown value 'transformers:bert'"),
        ("transformers:vit{", r"the configuration of 'transformers:vit' is refused"),
        ('transformers:vit{"hidden_size":1000000000}', r"hidden_size = 1,000,000,000, more than 65,536"),
        ('transformers:vit{"num_hidden_layers":100000}', r"num_hidden_layers = 100,000, more than 1,000"),
        ('transformers:swin{"depths":[2,1000000]}', r"depths = 1,000,002, more than 1,000"),
        (
            'transformers:swin{"window_size":512,"image_size":512,"patch_size":1,"embed_dim":8,"num_heads":[1,1,1,1]}',
            r"tables of [\d,]+ numbers beside its weights, more than 67,108,864",
        ),
        ("transformers:timm_wrapper", "unknown value 'transformers:timm_wrapper'"),
        ('transformers:vit{"patch_size":0}', r"'transformers:vit' cannot be built"),
    ],
)
def test_what_is_no_network_is_refused_in_a_sentence(name, words):
    with pytest.raises(InputError, match=f"^{KEY}: .*{words}"):
        build_network(name, 3, 4, KEY)
