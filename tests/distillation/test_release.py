"""Files as TransKD released them, filled by the rule of the reference numbers: names, losses and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from released_names import filled, fingerprint, released_shapes
from torch import Tensor, nn

from transkd.distillation import create_loss, load_release
from transkd.distillation.embedding import EmbeddingLoss
from transkd.distillation.release import FORMS, Form, adapter_names, find_form
from transkd.errors import WeightsError
from transkd.models import Segmenter
from transkd.models.backbones import find_backbone
from transkd.models.formats.published import from_released
from transkd.models.taps import Taps
from transkd.training import DistillModule

from .tap_builder import TEACHER_CHANNELS, Widths

# Number of tensors, and sha256 of the sorted lines "name [shape]", of the released checkpoints.
FILES: dict[tuple[str, Form], tuple[int, str]] = {
    ("mit_b0", "transkd_base"): (281, "f076f477ec4902f8"),
    ("mit_b0", "transkd_gl"): (290, "97bcf082d97a7022"),
    ("mit_b0", "transkd_ea"): (305, "3e891341152413f2"),
    ("pvt_v2_b0", "transkd_base"): (297, "b6d61f0c8ed5c7d9"),
    ("lvt", "transkd_base"): (253, "48c69e5ee34560a5"),
}
# ERFNet's class weights for Cityscapes, then 0 for the 20th output, "ignore".
CLASS_WEIGHTS = (
    *(2.5959737, 6.741505, 3.5353868, 9.866315, 9.690922, 9.369371, 10.289124, 9.953209, 4.3098087, 9.490392),
    *(7.674411, 9.396925, 10.347794, 6.3928986, 10.226673, 10.241072, 10.28059, 10.396977, 10.05567, 0.0),
)
# Mode: cross-entropy, HCL, PEA of stages 1 to 4 before their weights, total.
EXPECTED = {
    "eval": (3.29493, 7.61001, 2.16289, 2.28282, 2.10648, 1.98117, 14.38392),
    "train": (3.29754, 6.58534, 2.16289, 2.28282, 2.10648, 1.98117, 13.36187),
}
# Parameters of a MiT-B0 and the adapters of a form, as published.
PARAMETERS = {"transkd_base": 4_563_124, "transkd_gl": 5_219_254, "transkd_ea": 5_534_076}
State = dict[str, Tensor]


def student_file_shapes(backbone: str, form: Form) -> dict[str, tuple[int, ...]]:
    """Released name -> shape of every tensor of a distilled student's checkpoint, with a MiT-B2 teacher's adapters."""
    shapes = released_shapes(backbone, "student.")
    channels = find_backbone(backbone).build(0.0).channels
    for name in FORMS[form]:
        loss = create_loss(name, student=Widths(channels), teacher=Widths(TEACHER_CHANNELS))
        shapes |= {adapter_names(name)[ours]: tuple(tensor.shape) for ours, tensor in loss.state_dict().items()}
    return shapes


@pytest.fixture(scope="module")
def state_of() -> Callable[[str, Form], State]:
    """A file's tensors, filled once."""
    made: dict[tuple[str, Form], State] = {}

    def state(backbone: str, form: Form) -> State:
        if (backbone, form) not in made:
            made[backbone, form] = filled(student_file_shapes(backbone, form))
        return dict(made[backbone, form])

    return state


@pytest.fixture(scope="module")
def teacher() -> Segmenter:
    config, state = from_released(filled(released_shapes("mit_b2")))
    segmenter = Segmenter(**config)
    segmenter.load_state_dict(state)
    return segmenter.eval()


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def saved(state: object, folder: Path) -> Path:
    path = folder / "model.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize(("backbone", "form"), FILES)
def test_a_released_file_loads_strictly(
    backbone: str, form: Form, state_of: Callable[[str, Form], State], tmp_path: Path
) -> None:
    assert fingerprint(student_file_shapes(backbone, form)) == FILES[backbone, form]
    state = state_of(backbone, form)
    release = load_release(saved(state, tmp_path))
    assert release.form == form
    if backbone == "mit_b0":
        modules = (release.student, *release.losses.values())
        assert sum(p.numel() for module in modules for p in module.parameters()) == PARAMETERS[form]
    assert tuple(release.losses) == FORMS[form]
    assert release.student.config["backbone"] == backbone
    assert release.student.num_classes == 20
    assert not any(module.training for module in (release.student, *release.losses.values()))
    assert all(loss.teacher_channels == TEACHER_CHANNELS for loss in release.losses.values())
    assert torch.equal(release.student.normalise(torch.ones(1, 3, 32, 32)), torch.ones(1, 3, 32, 32))
    held = {
        adapter_names(name)[ours]: tensor
        for name, loss in release.losses.items()
        for ours, tensor in loss.state_dict().items()
    }
    adapters = {name for name in state if not name.startswith("student.")}
    assert held.keys() == adapters
    assert all(torch.equal(held[name], state[name]) for name in adapters)


@pytest.mark.parametrize("mode", EXPECTED)
def test_transkd_base_gives_the_published_codes_numbers(
    mode: str, state_of: Callable[[str, Form], State], teacher: Segmenter, tmp_path: Path
) -> None:
    release = load_release(saved(state_of("mit_b0", "transkd_base"), tmp_path))
    csf, pea = release.losses.values()
    for module in (*release.student.modules(), *csf.modules()):
        if isinstance(module, nn.BatchNorm2d):  # the published numbers are without dropout
            module.train(mode == "train")
    csf.training = mode == "train"
    rng = np.random.default_rng(7)
    images = torch.from_numpy(rng.random((2, 3, 128, 256), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 20, (2, 32, 64)))
    student_taps, teacher_taps = release.student.taps(images, logits=True), teacher.taps(images)
    assert student_taps.logits is not None
    entropy = F.cross_entropy(student_taps.logits, labels, torch.tensor(CLASS_WEIGHTS))
    assert isinstance(pea, EmbeddingLoss)
    stages = pea.stage_losses(student_taps, teacher_taps)
    context = csf(student_taps, teacher_taps)
    total = entropy + context + pea(student_taps, teacher_taps)
    assert [float(x) for x in (entropy, context, *stages, total)] == pytest.approx(EXPECTED[mode], rel=1e-4)


def tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def linear(x: Tensor, state: State, name: str) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def mixed(embedding: Tensor, state: State) -> Tensor:
    """GL-Mixer's mixture of tokens (B, N, C), from the tensors of the file."""
    batch, count, channels = embedding.shape
    qkv = linear(embedding, state, "attn4.qkv").reshape(batch, count, 3, 8, channels // 8).permute(2, 0, 3, 1, 4)
    weights = (qkv[0] @ qkv[1].transpose(-2, -1) * (channels // 8) ** -0.5).softmax(dim=-1)
    attended = linear((weights @ qkv[2]).transpose(1, 2).reshape(batch, count, channels), state, "attn4.proj")
    sequence = embedding.transpose(1, 2)
    value, gate = (F.conv1d(sequence, state[f"{n}.weight"], state[f"{n}.bias"], padding=1) for n in ("conv1", "conv2"))
    local = (value * gate.sigmoid()).transpose(1, 2)
    return state["atten_weight"] * attended + state["conv_weight"] * local


def assisted(student: Taps, stage: int, aligned: Tensor, state: State) -> Tensor:
    """EA's sum for tokens aligned (B, N, D), from the tensors of the file."""
    name, stride, source = (
        ("patch_embed1", 4, student.images)
        if stage == 0
        else (f"patch_embed{stage + 1}", 2, student.features[stage - 1])
    )
    weight, bias = state[f"{name}.proj.weight"], state[f"{name}.proj.bias"]
    patches = tokens(F.conv2d(source, weight, bias, stride=stride, padding=weight.shape[-1] // 2))
    assistant = F.layer_norm(patches, patches.shape[-1:], state[f"{name}.norm.weight"], state[f"{name}.norm.bias"])
    return state[f"fuse_weights.{stage}"] * aligned + state[f"fuse_weights.{stage + 4}"] * assistant


@pytest.mark.parametrize(("form", "loss"), [("transkd_base", "pea"), ("transkd_gl", "gl_mixer"), ("transkd_ea", "ea")])
def test_embedding_losses_are_what_the_files_tensors_give(
    form: Form, loss: str, state_of: Callable[[str, Form], State], teacher: Segmenter, tmp_path: Path
) -> None:
    state = state_of("mit_b0", form)
    release = load_release(saved(state, tmp_path))
    images = torch.rand(2, 3, 64, 96)
    student_taps, teacher_taps = release.student.taps(images), teacher.taps(images)
    expected = 0.0
    for stage, weight in enumerate((0.1, 0.1, 0.5, 1.0)):
        embedding = tokens(student_taps.embeddings[stage])
        if form == "transkd_gl" and stage == 3:
            embedding = mixed(embedding, state)
        aligned = linear(embedding, state, f"embed{stage + 1}_linearproject")
        if form == "transkd_ea":
            aligned = assisted(student_taps, stage, aligned, state)
        expected += weight * float(F.mse_loss(aligned, tokens(teacher_taps.embeddings[stage])))
    assert float(release.losses[loss](student_taps, teacher_taps)) == pytest.approx(expected, rel=1e-5)


def test_its_training_goes_on(state_of: Callable[[str, Form], State], teacher: Segmenter, tmp_path: Path) -> None:
    release = load_release(saved(state_of("mit_b0", "transkd_ea"), tmp_path))
    with torch.enable_grad():
        module = DistillModule(release.student, teacher, release.losses).train()
        batch = {"image": torch.rand(2, 3, 64, 64), "label": torch.randint(0, 19, (2, 64, 64))}
        terms = module.loss_terms(batch)
        assert terms.keys() == {"ce", "csf", "ea"}
        torch.stack(list(terms.values())).sum().backward()
    adapters = [p for loss in release.losses.values() for p in loss.parameters()]
    assert all(p.grad is not None for p in (*release.student.parameters(), *adapters))
    assert all(p.grad is None for p in teacher.parameters())


def test_forms_tie_towards_base() -> None:
    names = {form: {n: torch.empty(0) for loss in FORMS[form] for n in adapter_names(loss).values()} for form in FORMS}
    assert {form: find_form(tensors) for form, tensors in names.items()} == {form: form for form in FORMS}
    assert find_form({"skfs.0.conv1.0.weight": torch.empty(0)}) == "transkd_base"


def test_a_file_without_adapters_belongs_to_load_segmenter(
    state_of: Callable[[str, Form], State], tmp_path: Path
) -> None:
    student = {n: t for n, t in state_of("mit_b0", "transkd_base").items() if n.startswith("student.")}
    bare = {name.removeprefix("student."): tensor for name, tensor in student.items()}
    for state in (student, bare):
        with pytest.raises(WeightsError, match=r"model\.pth holds no adapters .* load it with transkd\.load_segmenter"):
            load_release(saved(state, tmp_path))


def test_adapters_that_do_not_fit_are_named(state_of: Callable[[str, Form], State], tmp_path: Path) -> None:
    state = state_of("mit_b0", "transkd_gl")
    del state["atten_weight"], state["embed2_linearproject.weight"]
    state["skfs.0.conv1.0.weight"] = torch.zeros(64, 160, 1, 1)
    with pytest.raises(WeightsError) as caught:
        load_release(saved(state, tmp_path))
    message = str(caught.value)
    assert "model.pth seems to hold the adapters of transkd_gl" in message
    assert "skfs.0.conv1.0.weight [64, 160, 1, 1] instead of [64, 256, 1, 1]" in message
    assert "2 tensors missing: " in message
    assert "atten_weight" in message


def test_a_student_that_does_not_fit_is_named_with_its_file(
    state_of: Callable[[str, Form], State], tmp_path: Path
) -> None:
    state = state_of("lvt", "transkd_base")
    del state["student.backbone.2.1.0.attn.ds.weight"]
    with pytest.raises(WeightsError, match=r"model\.pth does not fit the lvt .* 1 tensors missing: backbone\.stages"):
        load_release(saved(state, tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fc.weight": torch.zeros(2)}, r"is not a released checkpoint of TransKD; its first tensors are fc\.weight"),
        ({"epoch": 3}, "holds no state dict; its keys are epoch"),
        ([torch.zeros(2)], "holds a list, not a state dict"),
    ],
)
def test_other_files_are_refused(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"model\.pth {message}"):
        load_release(saved(content, tmp_path))
