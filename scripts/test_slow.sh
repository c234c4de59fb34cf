#!/usr/bin/env bash
# The tests that scripts/test.sh leaves out for their time: documented commands, notebooks, exports, sweeps in processes.
#   scripts/test_slow.sh [PYTEST ARGUMENTS]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" "[dev]"

export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE NO_ALBUMENTATIONS_UPDATE=1
pytest -m slow -n "${TEST_PROCESSES:-$(python -c 'import os; print(min(4, os.cpu_count() or 1))')}" --dist worksteal --durations=15 "$@"
