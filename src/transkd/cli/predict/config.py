"""The options of ``transkd-predict``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from transkd.cli.inference import InferenceConfig
from transkd.errors import TransKDError
from transkd.options import REQUIRED, SMALLEST_SIDE, Positive, Problem, Side, listed, option
from transkd.prediction import KINDS, Existing, Kind


class PredictConfig(InferenceConfig):
    r"""Segment pictures and videos with a segmenter or an exported file.

    Examples:
      transkd-predict model=runs/NAME/student input=scenes output=overlays
      transkd-predict model=runs/NAME/student model2=runs/TEACHER/model \
        input=drive.mp4 output=out kinds=compare
      transkd-predict model=student.onnx input='scenes/*.jpg' output=out \
        kinds=[ids,confidence] existing=skip

    Kinds: overlay is the picture under its classes' colours, with a legend; colour
    the classes' colours; ids class ids as an 8-bit PNG with a palette; compare
    picture and prediction side by side, and model2's; confidence the largest
    softmax value as an 8-bit grey PNG.

    colour, ids and confidence have the size of their input, overlay too, above
    its legend. Videos become .mp4 without sound; their ids and confidences a
    folder NAME.frames with a PNG a frame. Exit code 1: something could not be
    read or written; the rest is written, and what is missing is listed. Inputs
    are never overwritten.

    More: docs/predict.md
    """

    model2: str | None = option(None, "a second model for kinds=[compare], such as the teacher", heading="Input")
    threads: Positive | None = option(None, "CPU threads; null: one a core", heading="Compute")
    batch_size: Positive = option(4, "how many pictures or frames are computed at once")
    input: str = option(
        REQUIRED,
        "a picture, a folder and all below it, a pattern ('scenes/*.jpg'), a .txt list with a path a line, or a video",
        heading="Input",
    )
    size: Side | tuple[Side, Side] | Literal["native"] | None = option(
        None,
        "what the model sees: a short side in pixels, [height, width], or native for the picture's own size; null: the "
        "short side of the model's training run, where its folder says so, else native",
        give=f"a short side in pixels (512), [height, width], {SMALLEST_SIDE} or more, native, or null",
    )
    output: str = option(REQUIRED, "the folder to write to; for one input and one kind also the file", heading="Output")
    kinds: Annotated[list[Kind], BeforeValidator(listed), Field(min_length=1)] = option(
        ["overlay"],
        "what is written: overlay, colour, ids, compare or confidence, one or a list",
        give=f"one or more of {', '.join(KINDS)}",
    )
    existing: Existing = option("error", "where an output exists: error, skip (make the others only), or overwrite")
    classes: str | None = option(
        None,
        "names and colours: a dataset's (cityscapes) or a class file's (classes.yaml); null: the model's own",
        heading="Drawing",
    )
    opacity: float = option(0.5, "of the colours of overlays, 0 to 1", ge=0, le=1)
    legend: bool = option(True, "draw a legend below overlays and comparisons")

    @property
    def when_existing(self) -> Existing:
        """What to do where an output exists."""
        return "overwrite" if self.overwrite else self.existing

    def problems(self) -> Iterator[Problem]:
        """Yield values that contradict each other, and classes that do not exist."""
        yield from self.window_problems(self.size)
        if self.model2 is not None and "compare" not in self.kinds:
            yield Problem("model2", "a second model is drawn side by side only: kinds=[compare]")
        for key in ("model", "input", "output"):
            if not getattr(self, key).strip():
                yield Problem(key, "is empty; '.' is the current folder")
        if self.overwrite and self.existing == "skip":
            yield Problem("overwrite", "overwrite=true replaces what existing=skip keeps; leave one of them out")
        if self.classes is not None:
            from transkd.data.datasets import named_classes

            try:
                named_classes(self.classes)
            except TransKDError as error:
                yield Problem("classes", str(error))
