from __future__ import annotations

import hashlib

import pytest

from transkd.distillation import create_loss

from .released_adapters import adapter_names
from .tap_builder import STUDENT_CHANNELS, TEACHER_CHANNELS, Widths

# sha256 of the sorted lines "name [shape]" of the adapters in the release's own checkpoints of MiT-B2 to -B0.
RELEASED = {
    ("csf", "pea"): (89, "c8053c1a626f100f"),
    ("csf", "gl_mixer"): (98, "ba7112f20bc7dde2"),
    ("csf", "ea"): (113, "8c8a6990ce8403b9"),
}


@pytest.mark.parametrize("losses", RELEASED, ids="+".join)
def test_every_adapter_tensor_has_its_released_name_and_shape(losses: tuple[str, ...]) -> None:
    lines = []
    for name in losses:
        loss = create_loss(name, student=Widths(STUDENT_CHANNELS), teacher=Widths(TEACHER_CHANNELS))
        names = adapter_names(name)
        lines += [f"{names.pop(ours)} {list(tensor.shape)}" for ours, tensor in loss.state_dict().items()]
        assert not names, "names of tensors that the loss does not have"
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
    assert (len(lines), digest) == RELEASED[losses]
