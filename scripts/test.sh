#!/usr/bin/env bash
# What must hold before a change goes in: style, types, tests; those that take long are in scripts/test_slow.sh.
#   scripts/test.sh [PYTEST ARGUMENTS]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" "[dev]"

export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE NO_ALBUMENTATIONS_UPDATE=1
ruff check .
ruff format --check .
mypy
pytest -m "not slow" -n "${TEST_PROCESSES:-$(python -c 'import os; print(min(4, os.cpu_count() or 1))')}" --dist worksteal --durations=15 "$@"
