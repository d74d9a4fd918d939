"""Networks of timm and torchvision that are made for one image size are built for the size at hand."""

import pytest
import timm
import torch
import torchvision

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.architectures import build_network, check_logits
from nayer.models.classifier import Classifier
from nayer.models.weights import fit

KEY = "teacher.architecture"
VIT = "timm:vit_tiny_patch16_224"
SWIN = "timm:swin_tiny_patch4_window7_224"


def empty(architecture: str, size: int | None = None) -> torch.nn.Module:
    with torch.device("meta"):
        return build_network(architecture, 3, 5, KEY, size).eval()


def shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("name", [VIT, SWIN, "timm:beit_large_patch16_384", "timm:levit_128s", "torchvision:vit_b_16"])
def test_a_network_of_one_size_takes_the_images_that_there_are(name, size):
    with torch.device("meta"):
        check_logits(empty(name, size), 3, size, 5, KEY)


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        (VIT, 32, 3),
        (f'{VIT}{{"depth":1,"patch_size":4}}', 28, 1),
        (f'{SWIN}{{"depths":[1,1],"embed_dim":12,"num_heads":[1,2],"window_size":4}}', 64, 3),
        (f'half:{VIT}{{"depth":1}}', 64, 3),
    ],
)
def test_a_file_of_it_needs_no_other(name, size, channels, tmp_path):
    spec = ImageSpec(size, channels, (0.5,) * channels, (0.5,) * channels)
    classifier = Classifier.build(name, ("a", "b", "c"), spec).eval()
    classifier.save(tmp_path / "it.safetensors")
    again = Classifier.load(tmp_path / "it.safetensors")
    images = torch.rand(2, channels, size, size)
    with torch.no_grad():
        assert torch.equal(again(images), classifier(images))


def test_weights_that_were_trained_at_a_size_fit_at_that_size():
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=5).eval()
    images, name = torch.rand(2, 3, 64, 64), f'{VIT}{{"depth":1}}'
    network = build_network(name, 3, 5, KEY, 64).eval()
    fit(network, theirs.state_dict(), "'vit.pth'", "teacher.weights")
    assert torch.equal(network(images), theirs(images))
    with pytest.raises(InputError, match="'vit.pth' pos_embed is .*; set data.image_size and teacher.architecture to"):
        fit(build_network(name, 3, 5, KEY, 32), theirs.state_dict(), "'vit.pth'", "teacher.weights")


def test_a_vit_of_torchvision_has_the_places_of_its_images():
    with torch.device("meta"):
        theirs = torchvision.models.vit_b_16(image_size=64, num_classes=5)
    assert shapes(empty("torchvision:vit_b_16", 64)) == shapes(theirs)


@pytest.mark.parametrize("name", [VIT, SWIN, "timm:vit_so400m_patch14_siglip_384", "torchvision:vit_b_16"])
def test_at_the_size_of_its_published_weights_it_is_as_the_library_makes_it(name):
    """The third was trained on images of 384 pixels a side, of which 27 patches of 14 pixels are used."""
    library, _, plain = name.partition(":")
    with torch.device("meta"):
        make = timm.create_model if library == "timm" else torchvision.models.get_model
        theirs = make(plain, num_classes=5)
    assert shapes(empty(name, 384 if name.endswith("384") else 224)) == shapes(empty(name)) == shapes(theirs)


@pytest.mark.parametrize(
    "name", ["resnet50_clip", "mvitv2_tiny", "crossvit_9_240", "efficientvit_m0", "samvit_base_patch16"]
)
def test_one_that_takes_images_of_any_size_is_the_same_for_all(name):
    """So its files from earlier versions still fit."""
    network = empty(f"timm:{name}", 64)
    assert shapes(network) == shapes(empty(f"timm:{name}"))
    with torch.device("meta"):
        check_logits(network, 3, 64, 5, KEY)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        (VIT, 28, "patches of 16 pixels a side, but 28 is not a multiple: use images of 16 or 32, or a network"),
        (f'{VIT}{{"patch_size":5}}', 224, "patches of 5 pixels a side, but 224 is not a multiple"),
        (VIT, 8, "use images of 16, or a network with other patches, such as timm:"),
        ("torchvision:vit_b_16", 28, "use images of 16 or 32, or a network with other patches, such as timm:"),
        ("timm:maxvit_tiny_tf_224", 28, "cannot be built"),
    ],
)
def test_images_that_it_cannot_cut_are_refused(name, size, words):
    with pytest.raises(InputError, match=f"^{KEY}: '.*{words}"):
        build_network(name, 3, 5, KEY, size)


@pytest.mark.parametrize(
    ("braces", "words"),
    [
        ("{", "what follows 'timm:vit_tiny_patch16_224' is not JSON"),
        ('{"patch_size":' + "[" * 10**5, "is not JSON"),
        ('{"checkpoint_path":"weights.pth"}', "takes numbers for patch_size, .*, not 'checkpoint_path'"),
        ('{"pretrained":1}', "not 'pretrained'"),
        ('{"features_only":true}', "not 'features_only'"),
        ('{"pretrained_cfg":{"file":"weights.pth"}}', "not 'pretrained_cfg'"),
        ('{"img_size":64}', "not 'img_size'"),
        ('{"patch_size":"4"}', "not 'patch_size'"),
        ('{"patch_size":0}', "'vit_tiny_patch16_224' cannot be built"),
        ('{"patch_size":-4}', "'vit_tiny_patch16_224' cannot be built"),
        ('{"embed_dim":1000000000}', r"embed_dim = 1,000,000,000, more than 65,536"),
        ('{"depth":100000}', r"depth = 100,000, more than 1,000"),
    ],
)
def test_braces_hold_sizes_alone(braces, words):
    with pytest.raises(InputError, match=f"^{KEY}: .*{words}"):
        build_network(f"{VIT}{braces}", 3, 5, KEY, 32)


def test_tables_that_would_take_all_memory_are_refused():
    with pytest.raises(InputError, match=r"'timm:levit_128s' .* tables of [\d,]+ numbers .* use a smaller window or"):
        build_network("timm:levit_128s", 3, 5, KEY, 4096)
