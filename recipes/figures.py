"""Write the profiles made of figures that training and evaluation read beside the core tasks.

    python recipes/figures.py --output runs/figures.json

Published benchmark figures, and each model's mean on the training items of a data set, as one statement each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import outcomes as oc

from modelsat.capability import CapabilityProfile, save_profiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path, default=Path("runs/figures.json"))
    arguments = parser.parse_args()
    table = oc.load(arguments.data)
    bank = oc.ProfileBank(table, arguments.data)
    profiles = [CapabilityProfile(model=m, statements=bank.benchmarks(m)) for m in table.models if bank.benchmarks(m)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_profiles(profiles, arguments.output)
    print(f"{len(profiles)} profiles in {arguments.output}")


if __name__ == "__main__":
    main()
