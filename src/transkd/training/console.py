"""Where a run speaks to a person, and what it keeps its libraries from saying."""

from __future__ import annotations

import logging
import warnings

from rich import get_console
from rich.console import Console

PLAIN_WIDTH = 120
NOT_FOR_USERS = (
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*callbacks returned in `LightningModule.configure_callbacks` will override.*",
    r".*does not have many workers.*",
    r".*Loading `train_dataloader` to estimate.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True.*",
    r"Grad strides do not match bucket view strides.*",
    r"There is a wandb run already in progress.*",
    r".*module\(s\) in eval mode at the start of training.*",
)


def new_console(*, quiet: bool = False) -> Console:
    """Return a console for standard output, wide enough for tables where it is not a terminal.

    At a terminal it is rich's own, which Lightning's progress bars are drawn on too: they would draw over what another
    one prints.
    """
    console = get_console()
    if not quiet and console.is_terminal:
        return console
    return Console(quiet=quiet, width=None if console.is_terminal else PLAIN_WIDTH)


def quiet_lightning() -> None:
    """Leave out Lightning's tips and the warnings that a user of a command can do nothing about."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
