"""What TransKD's released checkpoints call the tensors of the distillation losses' adapters."""

from __future__ import annotations

STAGES = 4
AFFINE = ("weight", "bias")
BATCH_NORM = (*AFFINE, "running_mean", "running_var", "num_batches_tracked")


def adapter_names(loss: str) -> dict[str, str]:
    """Return our name -> released name of every tensor of a loss on four stages; no tensor changes its shape.

    Args:
        loss: ``"csf"``, ``"pea"``, ``"gl_mixer"`` or ``"ea"``.
    """
    return {"csf": _csf, "pea": _linears, "gl_mixer": _gl_mixer, "ea": _ea}[loss]()


def teacher_width_names(stage: int) -> tuple[str, str]:
    """Return the released tensors whose first dimension is the teacher's channels of a stage, counted from 0."""
    return _linears()[f"linears.{stage}.weight"], _csf()[f"stages.{stage}.expand.0.weight"]


def _csf() -> dict[str, str]:
    names: dict[str, str] = {}
    for stage in range(STAGES):
        ours, released = f"stages.{stage}", f"skfs.{STAGES - 1 - stage}"  # the release counts from the deepest stage
        blocks = {"reduce": "conv1", "expand": "conv2"}
        if stage < STAGES - 1:
            blocks["selection.squeeze"] = "fc"
            names[f"{ours}.selection.squeeze_single.0.weight"] = f"{released}.fc1.0.weight"
            for branch, logit in enumerate(("own_logit", "deeper_logit")):
                names |= {f"{ours}.selection.{logit}.{part}": f"{released}.fcs.{branch}.{part}" for part in AFFINE}
        for block, released_block in blocks.items():
            names[f"{ours}.{block}.0.weight"] = f"{released}.{released_block}.0.weight"
            names |= {f"{ours}.{block}.1.{part}": f"{released}.{released_block}.1.{part}" for part in BATCH_NORM}
    return names


def _linears() -> dict[str, str]:
    return {f"linears.{i}.{part}": f"embed{i + 1}_linearproject.{part}" for i in range(STAGES) for part in AFFINE}


def _gl_mixer() -> dict[str, str]:
    modules = {"attention.proj": "attn4.proj", "local": "conv1", "local_gate": "conv2"}
    return {
        **_linears(),
        "mixer.global_weight": "atten_weight",
        "mixer.local_weight": "conv_weight",
        "mixer.attention.qkv.weight": "attn4.qkv.weight",
        **{f"mixer.{ours}.{part}": f"{name}.{part}" for ours, name in modules.items() for part in AFFINE},
    }


def _ea() -> dict[str, str]:
    return {
        **_linears(),
        **{
            f"assistants.{i}.{layer}.{part}": f"patch_embed{i + 1}.{layer}.{part}"
            for i in range(STAGES)
            for layer in ("proj", "norm")
            for part in AFFINE
        },
        **{f"linear_weights.{i}": f"fuse_weights.{i}" for i in range(STAGES)},
        **{f"assistant_weights.{i}": f"fuse_weights.{i + STAGES}" for i in range(STAGES)},
    }
