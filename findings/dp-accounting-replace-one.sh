#!/usr/bin/env bash
# dp-accounting's two accountants answer with 4.73 and 10.00 where "replace one" is asked for
#
# Versions: dp-accounting 0.6.0 (PyPI), Python 3.11.
# Expected: RDP is an upper bound and PLD nearly exact, so RDP says the same or a little more, for
#   either relation of neighbours. Both accountants take the relation as an argument.
# Happens: with REPLACE_ONE the PLD accountant reads the noise multiplier against the norm of one
#   record and doubles the sensitivity; the RDP accountant answers as for ADD_OR_REMOVE_ONE. Neither
#   warns, and the "upper bound" is less than half of the figure that it bounds.
# Seen 2026-11-28, 100 Gaussian mechanisms of noise multiplier 10, epsilon at delta 1e-5:
#   ADD_OR_REMOVE_ONE: RDP 4.729, PLD 4.377
#   REPLACE_ONE: RDP 4.729, PLD 9.997
#   exact for sensitivity 1: 4.377, for sensitivity 2: 9.997
# For users: say in the plan which relation is meant and which sensitivity follows, and give the
#   accountant an ADD_OR_REMOVE_ONE question with the noise halved rather than REPLACE_ONE.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check dp-accounting==0.6.0
seen=$(env/bin/python - <<'EOF'
from math import exp, sqrt
from scipy.optimize import brentq
from scipy.stats import norm
import dp_accounting
from dp_accounting import pld, rdp

rounds, noise, delta = 100, 10.0, 1e-5
event = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(noise), rounds)
for relation in (
    dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE,
    dp_accounting.NeighboringRelation.REPLACE_ONE,
):
    bound = rdp.RdpAccountant(neighboring_relation=relation).compose(event).get_epsilon(delta)
    near = pld.PLDAccountant(neighboring_relation=relation).compose(event).get_epsilon(delta)
    print(f"{relation.name}: RDP {bound:.3f}, PLD {near:.3f}")

def exact(sensitivity):
    """Epsilon from the closed form of the Gaussian mechanism; the composition is one again."""
    m = sensitivity * sqrt(rounds) / noise
    excess = lambda e: norm.cdf(m / 2 - e / m) - exp(e) * norm.cdf(-m / 2 - e / m) - delta
    return brentq(excess, 0, 50)

print(f"exact for sensitivity 1: {exact(1):.3f}, for sensitivity 2: {exact(2):.3f}")
EOF
)
expected='ADD_OR_REMOVE_ONE: RDP 4.729, PLD 4.377
REPLACE_ONE: RDP 4.729, PLD 9.997
exact for sensitivity 1: 4.377, for sensitivity 2: 9.997'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
