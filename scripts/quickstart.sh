#!/usr/bin/env bash
# Watch a small student learn from a larger teacher, on synthetic street scenes, in a few minutes on a laptop.
#   scripts/quickstart.sh [SEED]
# Makes .venv, draws the scenes (data/quickstart), trains a teacher, a plain student and a TransKD student (runs/),
# and compares them. Run again, it resumes where it stopped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh" ""

seed=${1:-0}
export PATH="$PWD/.venv/bin:$PATH"
run() { echo; echo "\$ $*"; "$@"; }

run transkd-data action=synth root=data/quickstart train=320 val=64 seed=0
run transkd-train +experiment=quickstart_teacher seed="$seed" resume=auto
run transkd-train +experiment=quickstart distillation=none seed="$seed" resume=auto
run transkd-train +experiment=quickstart teacher.weights="runs/quickstart_teacher-s$seed/model" seed="$seed" resume=auto
run python scripts/quickstart_summary.py --seed "$seed"
