"""What students cost while they are distilled: each network with the adapters of each method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from omegaconf import OmegaConf

from transkd.cli.app import config_folder
from transkd.cli.profile_config import ProfileConfig
from transkd.errors import TransKDError
from transkd.evaluation.cost import Macs, count_network, count_parameters
from transkd.models import Segmenter
from transkd.profiling import Network, gmacs_json, open_network
from transkd.training.preflight import AdapterCost, method_cost


@dataclass(frozen=True)
class AdapterRow:
    """One student with the adapters of one method.

    Attributes:
        student: the student's name, as the user wrote it.
        teacher: the teacher's.
        method: a method of ``conf/distillation``, or a registered loss.
        size: height and width in pixels.
        parameters: of the student alone.
        macs: of the student alone.
        adapters: what the adapters add.
        problem: why they could not be counted.
    """

    student: str
    teacher: str
    method: str
    size: tuple[int, int]
    parameters: int = 0
    macs: Macs | None = None
    adapters: AdapterCost | None = None
    problem: str | None = None

    @property
    def title(self) -> str:
        """What the row is called where it is spoken of."""
        return f"{self.student} + {self.method}"

    @property
    def parameters_with_adapters(self) -> int | None:
        """Parameters of student and adapters."""
        return None if self.adapters is None else self.parameters + self.adapters.parameters

    @property
    def macs_with_adapters(self) -> Macs | None:
        """Multiply-accumulates of student and adapters."""
        return None if self.adapters is None or self.macs is None else self.macs + self.adapters.macs

    def as_json(self) -> dict[str, Any]:
        """Return the row in plain containers."""
        return {
            "student": self.student,
            "teacher": self.teacher,
            "distillation": self.method,
            "size": list(self.size),
            "adapter_parameters": None if self.adapters is None else self.adapters.parameters,
            "parameters_with_adapters": self.parameters_with_adapters,
            "adapter_gmacs": gmacs_json(None if self.adapters is None else self.adapters.macs),
            "gmacs_with_adapters": gmacs_json(self.macs_with_adapters),
            "problem": self.problem,
        }


def adapter_rows(config: ProfileConfig) -> list[AdapterRow]:
    """Return a row for each segmenter among the models, method and size; other networks have no taps to distil."""
    if not config.adapters:
        return []
    rows: list[AdapterRow] = []
    network, alone = cache(open_network), cache(count_network)
    for name, method, size in product(config.models, config.adapters, config.sizes):
        try:
            student = network(name, config.num_classes).segmenter
            if student is None:
                continue
            teacher = _segmenter(network(config.adapter_teacher, config.num_classes))
            cost = method_cost(method_losses(method), student, teacher, size)
            own = (count_parameters(student), alone(student, size))
            rows.append(AdapterRow(name, config.adapter_teacher, method, size, *own, cost))
        except TransKDError as error:
            rows.append(AdapterRow(name, config.adapter_teacher, method, size, problem=" ".join(str(error).split())))
    return rows


def method_losses(method: str) -> dict[str, dict[str, Any]]:
    """Return the losses of a method of ``conf/distillation``, or the one loss of that name, with their options."""
    path = config_folder() / "distillation" / f"{method}.yaml"
    if not path.is_file():
        return {method: {}}
    losses = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(losses, dict)
    return dict(losses["losses"])


def _segmenter(network: Network) -> Segmenter:
    if network.segmenter is None:
        raise TransKDError(f"adapter_teacher={network.name} is no segmenter of transkd, so it has no taps")
    return network.segmenter
