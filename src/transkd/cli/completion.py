"""Completion for bash and zsh: ``COMMAND -sc install=SHELL`` prints what the shell needs, ``query=SHELL`` the words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from transkd.cli.completion_words import Words
from transkd.cli.ending import show
from transkd.errors import ConfigError, did_you_mean

COMMANDS = (
    "transkd-train",
    "transkd-eval",
    "transkd-predict",
    "transkd-export",
    "transkd-profile",
    "transkd-data",
    "transkd-report",
    "transkd-doctor",
)
OPEN_ENDS = ("=", ".")

# readline replaces what stands behind the last of its word breaks only, of which = is one unless somebody took it out.
BASH = r"""_transkd_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" found word before
    COMPREPLY=()
    word="${line##*[[:space:]]}"
    before="${word%"${word##*[$COMP_WORDBREAKS]}"}"
    while IFS= read -r found; do
        COMPREPLY+=("${found#"$before"}")
    done < <(COMP_LINE="$line" "$1" --shell-completion query=bash 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 0 && "$word" == *=* && "$COMP_WORDBREAKS" != *=* ]]; then
        while IFS= read -r found; do
            COMPREPLY+=("$found")
        done < <(compgen -P "${word%%=*}=" -f -- "${word#*=}")
    fi
}
complete -o default -o nospace -F _transkd_complete COMMANDS"""
ZSH = r"""(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_transkd() {
    local -a found
    local line="${(j: :)words[1,CURRENT-1]} $PREFIX"
    found=("${(@f)$(COMP_LINE="$line" "${(Q)words[1]}" --shell-completion query=zsh 2>/dev/null)}")
    found=(${found:#})
    if (( ! $#found )); then
        compset -P '*='
        _files
        return
    fi
    compadd -S '' -- ${(M)found:#*[=.]}
    compadd -- ${found:#*[=.]}
}
compdef _transkd COMMANDS"""
INSTALL = {"bash": BASH, "zsh": ZSH}
UNINSTALL = {
    "bash": "complete -r COMMANDS; unset -f _transkd_complete",
    "zsh": "compdef -d COMMANDS; unfunction _transkd",
}


def complete(config: Path, request: Sequence[str]) -> int:
    """Print what a shell asks for.

    Args:
        config: the command's primary config.
        request: ``install=SHELL``, ``uninstall=SHELL``, or ``query=SHELL`` with the line in ``COMP_LINE``.

    Returns:
        The exit code.

    Raises:
        ConfigError: it asks for something else.
    """
    action, _, shell = (request[0] if len(request) == 1 else "").partition("=")
    if action not in ("install", "uninstall", "query"):
        raise ConfigError("--shell-completion: give install=bash, install=zsh, uninstall=bash or uninstall=zsh")
    if shell not in INSTALL:
        raise ConfigError(
            f"--shell-completion: there is none for {shell or 'no shell'}; {did_you_mean(shell, INSTALL)}"
        )
    if action == "query":  # bash is told not to end words with a space, since keys have their values behind them
        found = Words(config).of_line(os.environ.get("COMP_LINE", ""))
        ends = (" " if shell == "bash" and not word.endswith(OPEN_ENDS) else "" for word in found)
        print("".join(f"{word}{end}\n" for word, end in zip(found, ends, strict=True)), end="")
        return 0
    text = (INSTALL if action == "install" else UNINSTALL)[shell]
    show(text.replace("COMMANDS", " ".join(COMMANDS)))
    return 0
