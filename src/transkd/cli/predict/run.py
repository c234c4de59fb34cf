"""What ``transkd-predict`` does: inputs, models, predictions, files."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from rich.progress import TaskID

from transkd.cli.inference import find_device, logits_function
from transkd.cli.predict.config import PredictConfig
from transkd.cli.progress import counting, screen, stoppable
from transkd.data.datasets import available_datasets, classes_of, get_layout, named_classes
from transkd.data.datasets.layout import IMAGE_SUFFIXES
from transkd.data.reading import read_image
from transkd.errors import ConfigError, DataError, TransKDError
from transkd.evaluation.pictures import Colour
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel, load_model
from transkd.options import SMALLEST_SIDE
from transkd.prediction.drawing import Classes, Drawer, class_names, colours_by_name, distinct_colours
from transkd.prediction.network import Network, Size
from transkd.prediction.outputs import Model
from transkd.prediction.plan import Job, find_sources, plan_outputs
from transkd.prediction.stills import Tally, predict_stills
from transkd.prediction.videos import predict_clip
from transkd.runs.folder import at_home, config_of_run, input_size_of_run

MOST_LISTED = 20
GENERIC_FOLDERS = ("student", "model")
MOST_IDS = 256


@dataclass
class Done:
    """What was made: of the pictures, with a line for each input that failed, and how many videos and frames."""

    stills: Tally = field(default_factory=Tally)
    videos: int = 0
    frames: int = 0

    def listing(self, inputs: int) -> str:
        """Return a text that lists the inputs that could not be predicted to the end; empty for none."""
        failures = self.stills.failures
        if not failures:
            return ""
        more = [f"  and {len(failures) - MOST_LISTED} more"] if len(failures) > MOST_LISTED else []
        head = f"{len(failures)} of {counted(inputs, 'input')} could not be predicted, or not to the end:"
        return "\n".join([head, *(f"  {printable(line)}" for line in failures[:MOST_LISTED]), *more])

    def stopped(self, inputs: int) -> str:
        """Return what to print where a signal ends the command."""
        return (
            f"{self.listing(inputs)}\ntranskd-predict: stopped after {self.stills.done + self.videos} of "
            f"{counted(inputs, 'input')}; all files that are there are whole, and the same command with existing=skip "
            "makes the others"
        ).lstrip()


def run_predict(config: PredictConfig) -> None:
    """Predict what a config names, write the outputs, and print how many there are.

    Raises:
        ConfigError: before anything is computed, for all that cannot work.
        DataError: not everything could be predicted; what could is written.
        TransKDError: a model cannot be loaded.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # what is too large is an error
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    output = at_home(config.output)
    sources, others = find_sources(config.input, IMAGE_SUFFIXES, leave_out=output)
    jobs = plan_outputs(sources, output, config.kinds, config.when_existing)
    skipped = len(sources) - len(jobs)
    if not jobs:
        print(f"nothing to do: all outputs for {counted(skipped, 'input')} are in {output} already")
        return
    device = find_device(config.device)
    names = [config.model, *([] if config.model2 is None else [config.model2])]
    models = [load_predictor(config, source, device) for source in names]
    if others:
        note(f"{counted(others, 'file')} of other kinds left out")
    done, start = Done(), time.perf_counter()
    with stoppable(lambda: done.stopped(len(jobs))):
        predict(jobs, models, done)
    parts = [counted(done.stills.done, "picture")] if done.stills.done or not done.videos else []
    if done.videos:
        parts.append(f"{counted(done.videos, 'video')} ({counted(done.frames, 'frame')})")
    kept = f"; {skipped} were there already" if skipped else ""
    if done.stills.done or done.videos or skipped:
        seconds = time.perf_counter() - start
        print(f"{' and '.join(parts)} predicted in {seconds:.1f} s, written to {output}{kept}")
    if failed := done.listing(len(jobs)):
        raise DataError(failed)


def predict(jobs: Sequence[Job], models: Sequence[Model], done: Done) -> None:
    """Predict pictures, then videos, with a progress bar; what fails is counted in ``done``."""
    stills = [job for job in jobs if not job.source.is_video]
    with counting(screen()) as bars:
        if stills:
            task = bars.add_task("pictures", total=len(stills), unit="images")
            predict_stills(stills, read_image, models, tally=done.stills, progress=lambda: bars.advance(task))
            bars.remove_task(task)
            if enlarged := done.stills.enlarged:
                note(
                    f"{counted(enlarged, 'picture')} of less than {SMALLEST_SIDE} pixels a side, enlarged for the model"
                )
        for job in (job for job in jobs if job.source.is_video):
            task = bars.add_task(printable(job.source.path.name), total=None, unit="frames")

            def show(frames: int, expected: int, task: TaskID = task) -> None:
                bars.update(task, completed=frames, total=expected or None)

            try:
                clip = predict_clip(job, models, progress=show)
            except TransKDError as error:
                done.stills.failures.append(str(error))
            else:
                done.videos += 1
                done.frames += clip.frames
                done.stills.failures += [clip.shortfall] if clip.shortfall else []
                for text in clip.notes:
                    note(text)
            bars.remove_task(task)


def load_predictor(config: PredictConfig, source: str, device: torch.device) -> Model:
    """Load ``config.model`` or ``config.model2``, and print what was chosen for it.

    Raises:
        ConfigError: it cannot give what was asked for.
        WeightsError: it cannot be loaded.
    """
    model = load_model(source, threads=config.threads)
    gives_logits = isinstance(model, Segmenter) or model.result == "logits"
    if not gives_logits:
        scales = f"scales=[{','.join(f'{scale:g}' for scale in config.scales)}]"
        needs = {
            "confidences": "confidence" in config.kinds,
            "inference=slide": config.inference == "slide",
            scales: config.scales != [1.0],
            "flip=true": config.flip,
        }
        if wanting := [what for what, is_asked in needs.items() if is_asked]:
            raise ConfigError(
                f"{source} gives classes without scores, which {' and '.join(wanting)} need: export it again with "
                "result=logits, or use the model that it was made from"
            )
    if "ids" in config.kinds and model.num_classes > MOST_IDS:
        raise ConfigError(f"{source} has {model.num_classes} classes, but ids are written with 8 bits a pixel")
    size, least = sizes_of(config, source, None if isinstance(model, Segmenter) else model.size)
    for problem in config.window_problems("native" if size is None else size):
        raise ConfigError(str(problem))
    views = config.views(size)
    if views.crop and views.steps and config.crop is None:
        note(f"{source} predicts by windows of {sides(views.crop)} pixels, {sides(views.steps)} apart")
    network = Network(
        logits_function(model, device, config.precision) if gives_logits else None,
        model.predict,
        device if isinstance(model, Segmenter) else torch.device("cpu"),
        size=size,
        least=least,
        views=views,
        batch_size=config.batch_size,
        confidence="confidence" in config.kinds and source == config.model,
    )
    path = Path(source)
    title = f"{path.expanduser().absolute().parent.name}/{path.name}" if path.name in GENERIC_FOLDERS else path.name
    classes = classes_for(model, source, config.classes)
    return Model(network, Drawer(title, classes, config.opacity, config.legend))


def sizes_of(config: PredictConfig, source: str, only: tuple[int, int] | None) -> tuple[Size, tuple[int, int]]:
    """Return what pictures are resized to, and the smallest size that the model takes; ``only`` is its one size."""
    size = None if config.size == "native" else config.size
    if only is None:
        if config.size is None and (run := input_size_of_run(source)):
            size = run[0] if isinstance(run[0], int) else min(run[0])
            why = f"as {run[1]} says (size=native: as they are)"
            note(f"{source} sees images with a short side of {size} pixels, {why}")
        return size, (SMALLEST_SIDE, SMALLEST_SIDE)
    is_window = config.inference == "slide" and config.crop == only
    fits = is_window if config.inference == "slide" else config.size in (None, only)
    if config.scales != [1.0] or not fits:
        remedy = f"leave size and scales out, or use inference=slide crop={sides(only)}"
        raise ConfigError(f"{source} takes images of {sides(only)} only: {remedy}")
    return (size, only) if is_window else (only, only)


def sides(pair: tuple[int, int]) -> str:
    """Return two sides as the command line has them."""
    return f"[{pair[0]},{pair[1]}]"


def classes_for(model: Segmenter | ExportedModel, source: str, named: str | None) -> Classes:
    """Name and colour a model's classes.

    Colours are, in this order, those of ``named``, of the model's file, of the dataset that it was trained on, of the
    dataset that has its class names, or distinct ones.

    Raises:
        ConfigError: ``named``, a dataset or a class file, has another number of classes than the model.
    """
    count, names = model.num_classes, class_names(model.class_names, model.num_classes)
    if named is not None:
        classes = named_classes(named)
        spare = count - classes.num_classes
        if spare not in (0, 1):  # TransKD's released networks have one output more
            raise ConfigError(f"classes={named} has {classes.num_classes} classes, but the model has {count} outputs")
        shown = (*classes.names, *["ignore"] * spare)
        return Classes(shown, (*classes.palette, *[(0, 0, 0)] * spare))
    own: tuple[Colour, ...] | None = getattr(model, "palette", None)
    if own is not None and len(own) == count:
        return Classes(names, own)
    found = None if model.class_names is None else colours_by_name(names, legends(source))
    return Classes(names, found or distinct_colours(count))


def legends(source: str) -> list[Mapping[str, Colour]]:
    """Return name -> colour of the dataset that a model was trained on, and of all datasets."""
    found = [get_layout(name).classes for name in available_datasets()]
    if run := config_of_run(source):
        with suppress(TransKDError, KeyError, TypeError, OSError):  # its dataset is not here any more
            data = run[0]["data"]
            found.insert(0, classes_of(data["name"], data["root"], **(data.get("options") or {})))
    return [dict(zip(each.names, each.palette, strict=True)) for each in found if each is not None]


def note(text: str) -> None:
    """Print a line on standard error."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """Return text in one line as a terminal shows it: names of files can hold line breaks and control characters."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def counted(count: int, what: str) -> str:
    """Return a number of things: ``2 pictures``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
