# Sourced by quickstart.sh and test.sh: makes .venv in the checkout and installs transkd into it, once.
# Usage: source scripts/setup.sh [EXTRAS]      e.g. EXTRAS=[dev]
# PYTHON chooses the interpreter that makes .venv; without it the first of python3, python3.13 … 3.11 that fits.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

if [ ! -x .venv/bin/python ]; then
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if fits "$candidate"; then python=$candidate; break; fi
  done
  if [ -z "${python:-}" ]; then
    echo "transkd needs Python 3.11, 3.12 or 3.13; found none of them. Install one, or name it: PYTHON=/path/to/python3.12" >&2
    exit 1
  fi
  echo "making .venv with $("$python" --version)"
  "$python" -m venv .venv
fi

wanted="${1:-} $(cksum pyproject.toml)"
stamp=.venv/.transkd-installed
if [ ! -f "$stamp" ] || { [ "$(cat "$stamp")" != "$wanted" ] && [ "$(cat "$stamp")" != "[dev] $(cksum pyproject.toml)" ]; }; then
  echo "installing transkd${1:-} into .venv (PyTorch and its libraries: a few minutes and about 6 GB)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${1:-}"
  echo "$wanted" > "$stamp"
fi
