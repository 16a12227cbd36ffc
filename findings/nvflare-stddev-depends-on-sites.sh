#!/usr/bin/env bash
# NVFlare's pooled standard deviation of the same rows is 0.0141, 0.0100 or 0 by the number of sites
#
# Versions: nvflare 2.9.0 (PyPI), Python 3.11.
# Expected: `precision` (default 4, "number of precision digits") is how results are printed; a
#   standard deviation of 0.0100, which four digits can show, comes out however rows are spread.
# Happens: the sum of squares over (n - 1) of each site, and the running total, are rounded to four
#   decimals before the root is taken. With many sites each share is rounded to 0.
# Seen 2026-11-28, 1000 rows, half 0.101 and half 0.121, spread evenly; pooled 0.0100:
#   1 site: 0.01, 2 sites: 0.0141, 5 sites: 0.0, 10 sites: 0.0
# For users: scale small features up before federated statistics, or set precision to 12 at the
#   controller and the executor. A standard deviation of 0.0 is no proof of a constant column.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check nvflare==2.9.0
cat > probe.py <<'EOF'
from statistics import stdev
from nvflare.app_common.app_constant import StatisticsConstants as Name
from nvflare.app_common.statistics.numeric_stats import get_global_stats

def pooled(sites):
    """What the controller makes of the answers of these sites, in its two rounds of questions."""
    def answers(figure):
        return {f"site-{i}": {"data": {"x": figure(rows)}} for i, rows in enumerate(sites)}

    first = {
        Name.STATS_COUNT: answers(len),
        Name.STATS_SUM: answers(sum),
        Name.STATS_MEAN: answers(lambda rows: sum(rows) / len(rows)),
    }
    found = get_global_stats({}, first, Name.STATS_1st_STATISTICS, {})
    mean, count = (found[name]["data"]["x"] for name in (Name.STATS_MEAN, Name.STATS_COUNT))
    second = {
        Name.STATS_VAR: answers(lambda rows: sum((x - mean) ** 2 for x in rows) / (count - 1)),
        Name.STATS_STDDEV: answers(stdev),
    }
    found = get_global_stats(found, second, Name.STATS_2nd_STATISTICS, {})
    return found[Name.STATS_STDDEV]["data"]["x"]

rows = [0.101, 0.121] * 500
print(f"all rows: {stdev(rows):.4f}")
print(", ".join(
    f"{n} site{'s' if n > 1 else ''}: {pooled([rows[i * 1000 // n:(i + 1) * 1000 // n] for i in range(n)])}"
    for n in (1, 2, 5, 10)
))
EOF
seen=$(env/bin/python probe.py)
expected='all rows: 0.0100
1 site: 0.01, 2 sites: 0.0141, 5 sites: 0.0, 10 sites: 0.0'
echo "$seen"
diff <(echo "$expected") <(echo "$seen") || { echo 'changed: < as noted, > now'; exit 1; }
echo 'unchanged'
