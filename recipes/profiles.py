"""Write the profiles that measure: all core items where a model took them, else its figures.

python recipes/profiles.py --output runs/profiles.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import outcomes as oc

from modelsat.capability import CapabilityProfile, save_profiles


def measuring(bank: oc.ProfileBank) -> list[CapabilityProfile]:
    """Profiles of every model that anything is known of."""
    models = bank.outcomes.models
    return [bank.profile(model) for model in models if bank.has_core(model) or bank.benchmarks(model)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path, default=Path("runs/profiles.json"))
    arguments = parser.parse_args()
    profiles = measuring(oc.ProfileBank(oc.load(arguments.data), arguments.data))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    save_profiles(profiles, arguments.output)
    print(f"{len(profiles)} profiles in {arguments.output}")


if __name__ == "__main__":
    main()
