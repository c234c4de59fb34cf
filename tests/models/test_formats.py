"""TransKD's released tensors: their names, their shapes, and numbers of the released code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from released_names import filled, fingerprint, names_of, released_shapes
from torch import nn
from torch.nn import functional as F

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.formats.published import adapters, from_released, looks_released

# Number of tensors, and sha256 of the sorted lines "name [shape]", of the segmenters in the released checkpoints;
# parameters of the paper's table.
RELEASED = {
    ("mit_b0", "student."): (192, "0f8030e8f1728d57", 3_719_284),
    ("mit_b2", ""): (348, "12c4c426daaefff3", 27_362_004),
    ("pvt_v2_b0", "student."): (208, "ff4cb969e65f59c1", 7_527_668),
    ("pvt_v2_b2", ""): (364, "fd3ea8c7386859ec", 29_098_836),
    ("lvt", "student."): (164, "aabdc91c535907bb", 3_837_176),
}
HEADS = {"mit": ("segformer", 256), "pvt": ("semantic_fpn", 128), "lvt": ("segformer", 256)}


def empty_state(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize(("backbone", "prefix"), RELEASED)
def test_every_tensor_has_its_released_name_and_shape(backbone, prefix):
    *names, parameters = RELEASED[backbone, prefix]
    assert [*fingerprint(released_shapes(backbone, prefix))] == names
    with torch.device("meta"):
        segmenter = create_segmenter(backbone, num_classes=20)
    assert sum(parameter.numel() for parameter in segmenter.parameters()) == parameters


@pytest.mark.parametrize(
    ("backbone", "prefix"),
    [*RELEASED, ("lvt", ""), *((f"{family}_b{size}", "") for family in ("mit", "pvt_v2") for size in range(1, 6))],
)
def test_architecture_and_classes_are_inferred(backbone, prefix):
    state = empty_state(released_shapes(backbone, prefix, num_classes=11))
    config, renamed = from_released(state)
    head, width = HEADS[backbone[:3]]
    width = 768 if backbone in ("mit_b2", "mit_b3", "mit_b4", "mit_b5") else width
    expected = {"backbone": backbone, "num_classes": 11, "head": head, "head_width": width}
    assert config == expected | {"mean": (0, 0, 0), "std": (1, 1, 1)}
    with torch.device("meta"):
        ours = Segmenter(**config).state_dict()
    assert {name: tensor.shape for name, tensor in renamed.items()} == {n: tensor.shape for n, tensor in ours.items()}
    assert looks_released(state)


def test_norms_keep_the_epsilons_of_the_release():
    """MiT's and PVTv2's norms after patch embeddings and reductions are PyTorch's own, LVT's are all."""

    def epsilons(backbone):
        with torch.device("meta"):
            segmenter = Segmenter(**from_released(empty_state(released_shapes(backbone)))[0])
        norms = {n: m.eps for n, m in segmenter.backbone.named_modules() if isinstance(m, nn.LayerNorm)}
        return {eps: {n.rsplit(".", 2)[-2] for n in norms if norms[n] == eps} for eps in set(norms.values())}

    assert epsilons("lvt").keys() == {1e-5}
    for backbone in ("mit_b0", "pvt_v2_b0"):
        assert epsilons(backbone)[1e-5] == {"patch_embed", "downsample", "attn"}
        assert epsilons(backbone).keys() == {1e-5, 1e-6}


def test_adapters_are_what_is_not_the_students():
    state = empty_state(released_shapes("mit_b0", "student."))
    state["embed1_linearproject.weight"] = torch.zeros(64, 32)
    assert adapters(state).keys() == {"embed1_linearproject.weight"}
    assert from_released(state)[1].keys() == create_segmenter("mit_b0").state_dict().keys()
    assert adapters(empty_state(released_shapes("mit_b0"))) == {}


@pytest.mark.parametrize("backbone", ["mit_b0", "pvt_v2_b0", "lvt"])
def test_missing_tensors_are_named(backbone, tmp_path):
    state = filled(released_shapes(backbone, "student."))
    lost = next(name for name in state if name.endswith("attn.q.weight"))
    del state[lost]
    torch.save(state, tmp_path / "w.pth")
    missing = names_of(backbone).ours(lost.removeprefix("student."))
    with pytest.raises(WeightsError, match=f"does not fit the {backbone} segmenter .*: 1 tensors missing: {missing}"):
        load_segmenter(tmp_path / "w.pth")


def test_another_network_is_refused():
    with pytest.raises(WeightsError, match=r"not the tensors of a released .*; the first are layer1\.0\.conv1\.weight"):
        from_released({"layer1.0.conv1.weight": torch.empty(1)})


CLASS_WEIGHTS = (
    2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392,
    7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567, 0.0,
)  # fmt: skip


@pytest.mark.parametrize(("training", "expected"), [(False, 3.29493), (True, 3.29754)])
def test_cross_entropy_of_the_student(training, expected):
    config, state = from_released(filled(released_shapes("mit_b0", "student.")))
    segmenter = Segmenter(**config, drop_path_rate=0, dropout=0).train(training)
    segmenter.load_state_dict(state)
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.random((2, 3, 128, 256), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 20, (2, 32, 64)))
    loss = F.cross_entropy(segmenter(images), labels, torch.tensor(CLASS_WEIGHTS))
    assert loss.item() == pytest.approx(expected, rel=1e-4)
