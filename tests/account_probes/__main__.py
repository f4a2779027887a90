"""Every fault by itself, and none at all: ``python -m tests.account_probes [--everywhere] [FAULT ...]``.

The probes that must find a fault are asked; with ``--everywhere`` all others too, which must not find it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from airflow_sm_pipelines.account_probes import PROBES
from tests.account_probes.endpoints import differing, faulty_account, local_account
from tests.account_probes.faulty_endpoint import FAULTS


def main(names: list[str]) -> int:
    """Run the campaign; 1 if a fault was not found, or found elsewhere."""
    everywhere = "--everywhere" in names
    names = [name for name in names if not name.startswith("--")]
    wrong = 0
    covered = set().union(*(probes for _, probes in FAULTS.values()))
    print("without a fault of their own:", sorted({probe.name for probe in PROBES} - covered) or "none")
    with tempfile.TemporaryDirectory() as folder, local_account(Path(folder) / "local") as local:
        for number, name in enumerate(names or ["", *FAULTS]):
            expected = FAULTS[name][1] if name else set()
            asked = [probe for probe in PROBES if everywhere or not name or probe.name in expected]
            with faulty_account(Path(folder) / f"{number}", [name] if name else []) as aws:
                found = differing(asked, aws, local)
            is_right = found == expected
            wrong += not is_right
            print(
                f"{'ok' if is_right else 'WRONG':5} {name or 'no fault':20} found by {sorted(found) or 'nothing'}",
                flush=True,
            )
            if not is_right:
                print(f"      expected {sorted(expected)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
