#!/usr/bin/env bash
# statsmodels' GLM says "converged" without a warning where no estimate exists; Logit does not
#
# Versions: statsmodels 0.15.0 (PyPI), Python 3.11.
# Expected: GLM warns of separation (it has PerfectSeparationWarning, and raises it when a straight
#   cut divides all outcomes), and two ways to the same logistic regression agree on convergence.
# Happens: with one group in which everybody has the outcome (the usual case of a small site) the
#   likelihood has no maximum. GLM stops because its deviance stands still, reports converged and
#   warns of nothing; Logit says that it did not converge. Only the standard error gives GLM away.
# Seen 2026-11-28, 3 of 6 with the outcome in one group, 4 of 4 in the other:
#   GLM: converged True, warnings 0, coefficient 21.6, standard error 14616
#   Logit: converged False, warnings 1, coefficient 24.7, standard error 113520
# For users: `converged` is no proof of an estimate. Look for cells without one of the outcomes or
#   for standard errors in the hundreds, and offer Firth's correction.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1
seen=$(env/bin/python - <<'EOF'
import sys, warnings
import numpy as np
import statsmodels.api as sm

group = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
outcome = np.array([0, 1, 0, 1, 0, 1, 1, 1, 1, 1])
design = sm.add_constant(group)
for name, model, options in (
    ("GLM", sm.GLM(outcome, design, family=sm.families.Binomial()), {}),
    ("Logit", sm.Logit(outcome, design), {"disp": False}),
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = model.fit(**options)
    converged = fit.converged if name == "GLM" else fit.mle_retvals["converged"]
    large = fit.params[1] > 20 and fit.bse[1] > 1000
    print(f"{name}: converged {converged}, warnings {len(caught)}, large {large}")
    figures = f"coefficient {fit.params[1]:.1f}, standard error {fit.bse[1]:.0f}"
    print(f"{name}: {figures} (not compared)", file=sys.stderr)
EOF
)
expected='GLM: converged True, warnings 0, large True
Logit: converged False, warnings 1, large True'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
