#!/usr/bin/env bash
# dp-accounting's PLD accountant charges ten randomised responses as one
#
# Versions: dp-accounting 0.6.0 (PyPI), Python 3.11.
# Expected: `compose(event, 10)` is the same as ten times `compose(event)`.
# Happens: for randomised response the PLD accountant leaves the count out, also within a
#   SelfComposedDpEvent. For Gaussian noise it takes the count; so does the RDP accountant for both.
# Seen 2026-11-28, epsilon at delta 1e-9 of one, of ten at once, of ten one by one:
#   randomised response, PLD: 2.40 2.40 23.98
#   randomised response, RDP: 2.41 23.99 23.99
#   Gaussian, PLD: 2.91 10.32 10.32
# For users: test an accountant by this identity before you believe it; here, compose randomised
#   responses in a loop.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check dp-accounting==0.6.0
seen=$(env/bin/python - <<'EOF'
import dp_accounting
from dp_accounting import pld, rdp

relation = dp_accounting.NeighboringRelation.REPLACE_ONE
response = dp_accounting.RandomizedResponseDpEvent(noise_parameter=0.5, num_buckets=10)
gaussian = dp_accounting.GaussianDpEvent(4.0)
for name, event, kind, accountant in (
    ("randomised response", response, "PLD", pld.PLDAccountant),
    ("randomised response", response, "RDP", rdp.RdpAccountant),
    ("Gaussian", gaussian, "PLD", pld.PLDAccountant),
):
    one, at_once, one_by_one = (accountant(neighboring_relation=relation) for _ in range(3))
    one.compose(event)
    at_once.compose(event, 10)
    for _ in range(10):
        one_by_one.compose(event)
    figures = " ".join(f"{a.get_epsilon(1e-9):.2f}" for a in (one, at_once, one_by_one))
    print(f"{name}, {kind}: {figures}")
EOF
)
expected='randomised response, PLD: 2.40 2.40 23.98
randomised response, RDP: 2.41 23.99 23.99
Gaussian, PLD: 2.91 10.32 10.32'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
