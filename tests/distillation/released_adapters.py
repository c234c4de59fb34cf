"""Names of the adapters in TransKD's released checkpoints (four stages), by our losses' state dicts."""

from __future__ import annotations

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def adapter_names(loss: str) -> dict[str, str]:
    """Ours -> released, for every tensor of a loss; no tensor changes its shape."""
    return {"csf": _csf, "pea": _linears, "gl_mixer": _gl_mixer, "ea": _ea}[loss]()


def _csf() -> dict[str, str]:
    names: dict[str, str] = {}
    for stage in range(4):
        released = f"skfs.{3 - stage}"  # the release counts from the deepest stage
        ours = f"stages.{stage}"
        blocks = {"reduce": "conv1", "expand": "conv2"}
        if stage < 3:
            blocks["selection.squeeze"] = "fc"
            names[f"{ours}.selection.squeeze_single.0.weight"] = f"{released}.fc1.0.weight"
            for branch, logit in enumerate(("own_logit", "deeper_logit")):
                for part in ("weight", "bias"):
                    names[f"{ours}.selection.{logit}.{part}"] = f"{released}.fcs.{branch}.{part}"
        for block, released_block in blocks.items():
            names[f"{ours}.{block}.0.weight"] = f"{released}.{released_block}.0.weight"
            names |= {f"{ours}.{block}.1.{part}": f"{released}.{released_block}.1.{part}" for part in NORM}
    return names


def _linears() -> dict[str, str]:
    return {f"linears.{i}.{part}": f"embed{i + 1}_linearproject.{part}" for i in range(4) for part in NORM[:2]}


def _gl_mixer() -> dict[str, str]:
    modules = {"attention.proj": "attn4.proj", "local": "conv1", "local_gate": "conv2"}
    return {
        **_linears(),
        "mixer.global_weight": "atten_weight",
        "mixer.local_weight": "conv_weight",
        "mixer.attention.qkv.weight": "attn4.qkv.weight",
        **{f"mixer.{ours}.{part}": f"{name}.{part}" for ours, name in modules.items() for part in NORM[:2]},
    }


def _ea() -> dict[str, str]:
    return {
        **_linears(),
        **{
            f"assistants.{i}.{layer}.{part}": f"patch_embed{i + 1}.{layer}.{part}"
            for i in range(4)
            for layer in ("proj", "norm")
            for part in NORM[:2]
        },
        **{f"linear_weights.{i}": f"fuse_weights.{i}" for i in range(4)},
        **{f"assistant_weights.{i}": f"fuse_weights.{i + 4}" for i in range(4)},
    }
