"""The datasets by name. To add one, write a :class:`Layout` with its ``find`` function, and register or list it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from transkd.data.classes import ClassSet
from transkd.data.datasets.acdc import ACDC_LAYOUT
from transkd.data.datasets.camvid import CAMVID_LAYOUT
from transkd.data.datasets.cityscapes import CITYSCAPES_LAYOUT
from transkd.data.datasets.folder import FOLDER_LAYOUT
from transkd.data.datasets.layout import Layout, Sample, Scenes, Unmatched, check_root
from transkd.data.datasets.nyuv2 import NYUV2_LAYOUT
from transkd.data.datasets.voc2012 import VOC2012_LAYOUT
from transkd.errors import ConfigError, DataError, did_you_mean
from transkd.options import Problem, as_clause, signature_problems

_LAYOUTS = {
    layout.name: layout
    for layout in (CITYSCAPES_LAYOUT, ACDC_LAYOUT, CAMVID_LAYOUT, NYUV2_LAYOUT, VOC2012_LAYOUT, FOLDER_LAYOUT)
}

__all__ = [
    "Layout",
    "Sample",
    "Scenes",
    "Unmatched",
    "available_datasets",
    "classes_of",
    "dataset_problems",
    "find_scenes",
    "find_splits",
    "get_layout",
    "named_classes",
    "register_dataset",
]


def register_dataset(layout: Layout) -> None:
    """Let configs, commands and :class:`~transkd.data.SceneDataModule` take a custom dataset.

    Args:
        layout: how it lies on disk; its ``name`` is what ``data.name`` calls it.

    Raises:
        ConfigError: there is one of that name already, or the layout is none.
    """
    if not isinstance(layout, Layout):
        raise ConfigError(f"a dataset is registered as a Layout, not {layout!r}")
    if layout.name in _LAYOUTS:
        raise ConfigError(f"there is a dataset '{layout.name}' already; register yours under another name")
    _LAYOUTS[layout.name] = layout


def available_datasets() -> tuple[str, ...]:
    """Return the names of the datasets that :func:`find_scenes` knows."""
    return tuple(sorted(_LAYOUTS))


def get_layout(name: str) -> Layout:
    """Look up how a dataset lies on disk.

    Raises:
        ConfigError: if there is no such dataset; lists those that exist.
    """
    if name not in _LAYOUTS:
        raise ConfigError(f"There is no dataset '{name}': {did_you_mean(name, _LAYOUTS)}")
    return _LAYOUTS[name]


def classes_of(name: str, root: Path | str, **options: object) -> ClassSet:
    """Return a dataset's classes; the root is read only where the classes lie there.

    Raises:
        ConfigError: if the dataset or an option does not exist, or classes in the options make no sense.
        DataError: if the file of the classes, or the root that holds it, is missing or wrong.
    """
    layout = _checked(name, options)
    if layout.classes is not None:
        return layout.classes
    assert layout.find_classes is not None
    with _reported_errors():
        return layout.find_classes(Path(root).expanduser().absolute(), **options)


def named_classes(name: str) -> ClassSet:
    """Return the classes of a dataset by its name, or of a custom dataset's YAML file by its path.

    Raises:
        ConfigError: there is no such dataset or file.
        DataError: the file is wrong.
    """
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        if not Path(name).is_file():
            raise ConfigError(f"there is no file {name}")
        return classes_of(FOLDER_LAYOUT.name, Path.cwd(), classes=name)
    classes = _LAYOUTS[name].classes if name in _LAYOUTS else None
    if classes is None:
        known = [layout.name for layout in _LAYOUTS.values() if layout.classes is not None]
        raise ConfigError(f"there is no dataset '{name}', and no YAML file; {did_you_mean(name, known)}")
    return classes


def find_splits(name: str, root: Path | str, **options: object) -> list[str]:
    """Return the names of the labelled splits that a root holds, the usual ones first.

    Raises:
        ConfigError: if the dataset or an option does not exist.
        DataError: if the root does not hold the dataset.
    """
    layout = _checked(name, options)
    with _reported_errors():
        path = check_root(layout, root)
        present = set(layout.find_splits(path, **options))
    if not present:
        raise DataError(f"The data root {path} holds no split. {layout.explain()}")
    return [*(split for split in layout.splits if split in present), *sorted(present - set(layout.splits))]


def find_scenes(
    name: str, root: Path | str, split: str, *, labelled: bool = True, complete: bool = True, **options: object
) -> Scenes:
    """Find the scenes of one split.

    Args:
        name: one of :func:`available_datasets`.
        root: the dataset's folder; relative paths and ``~`` are fine.
        split: the split's name.
        labelled: False needs no labels and ignores all pixels, for images that a benchmark's server scores.
        complete: False lists files without counterpart in ``Scenes.unmatched``, where else they are an error.
        **options: what else the dataset takes (ACDC: ``conditions``; a custom folder: ``classes``, ...).

    Raises:
        ConfigError: if the dataset or an option does not exist, or nobody scores its images.
        DataError: if files are missing; names them, the layout expected and where to get the data.
    """
    layout = _checked(name, options)
    if not labelled:
        if layout.benchmark is None:
            raise ConfigError(f"{layout.title} has no server that scores images without labels; use labelled ones")
        options["labelled"] = False
    with _reported_errors():
        path = check_root(layout, root)
        if labelled and split in layout.unlabelled:
            writes = f" transkd-eval format={name} split={split} writes what it takes." if layout.benchmark else ""
            raise DataError(
                f"{layout.title} has no labels for its '{split}' split: the benchmark's server keeps them. "
                f"Use one of: {', '.join(layout.splits)}.{writes}"
            )
        scenes = layout.find(path, split, **options)
    if complete and scenes.unmatched:
        raise DataError("\n".join([*map(str, scenes.unmatched), layout.explain()]))
    return scenes


@contextmanager
def _reported_errors() -> Iterator[None]:
    """Turn what the file system refuses into a DataError that names the folder or file."""
    try:
        yield
    except OSError as error:
        where, why = error.filename or "the data root", error.strerror or error
        raise DataError(f"{where}: cannot be read ({why}); check its permissions and the disk.") from error


def dataset_problems(name: str, root: Path | str, options: Mapping[str, object]) -> Iterator[Problem]:
    """Yield that there is no such dataset, or what is wrong with its options; paths are below a config's ``data``."""
    if name not in _LAYOUTS:
        yield Problem("name", f"there is no dataset '{name}'; {did_you_mean(name, _LAYOUTS)}")
        return
    found = _option_problems(_LAYOUTS[name], options)
    yield from found
    if not found:
        try:
            classes_of(name, root, **options)
        except ConfigError as error:
            key, colon, text = as_clause(error).partition(": ")
            named = colon and key.startswith("data.options.")
            yield Problem(key.removeprefix("data."), text) if named else Problem("options", as_clause(error))
        except DataError:
            pass  # reported when the data is read


def _option_problems(layout: Layout, options: Mapping[str, object]) -> list[Problem]:
    return signature_problems(layout.takes or layout.find, options, "options", given=("root", "split", "labelled"))


def _checked(name: str, options: Mapping[str, object]) -> Layout:
    layout = get_layout(name)
    if problems := _option_problems(layout, options):
        raise ConfigError(f"{layout.title}: {'; '.join(f'data.{problem}' for problem in problems)}")
    if layout.takes is not None:
        layout.takes(**options)
    return layout
