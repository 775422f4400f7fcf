"""Put a newly trained gate into a package that was trained and tested with another.

    python benchmarks/quality/exchange_gate.py src/lungsight/bundled/released gates/on-all

The detector, its lung fields, calibration and thresholds stay what they are, and so does what a test found out about
them: ``lungsight evaluate`` judges every image, refused or not. The model card says so, and which model was tested.
The package has another id.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

from lungsight._files import atomic_folder
from lungsight.components.input_gate import GateDescription
from lungsight.package import ModelPackage, PackageDescription
from lungsight.package.model_card import described
from lungsight.package.storage import EVIDENCE, GATE, METADATA, MODEL_CARD
from lungsight.package.write import sign

_DESCRIBED = re.compile(r"^## Model$.*?(?=^## Tested on$|^## Not shown here$)", re.DOTALL | re.MULTILINE)


def exchange_gate(package: Path, gate: Path) -> PackageDescription:
    """``gate`` is a folder with ``gate.onnx`` and ``gate.json``. Raises InvalidPackage where the package doesn't work
    with it, and leaves it as it was."""
    opened = ModelPackage.open(package)
    stated = GateDescription.model_validate_json((gate / "gate.json").read_text("utf-8"))
    kept = {name: digest for name, digest in opened.description.files.items() if name != METADATA}
    with atomic_folder(package.resolve()) as partial:
        shutil.copytree(package, partial, dirs_exist_ok=True)
        (partial / METADATA).unlink(missing_ok=True)
        (partial / GATE).write_bytes((gate / "gate.onnx").read_bytes())
        changed = sign(partial, opened.description.model_copy(update={"gate": stated, "files": kept}), GATE)
        card = card_of(opened.model_card, changed, _note(opened))
        (partial / MODEL_CARD).write_text(card, encoding="utf-8")
        signed = sign(partial, changed, MODEL_CARD)
        ModelPackage.open(partial).verify()
    return signed


def tested_model(package: ModelPackage) -> str | None:
    """The id in its evidence report; None where it has none."""
    if EVIDENCE not in package.description.files:
        return None
    return str(json.loads(package.read(EVIDENCE))["subject"]["model"])


def card_of(card: str, description: PackageDescription, note: str) -> str:
    """The card with what ``description`` says in the place of what it said before, and ``note`` after it."""
    model = "\n\n".join("\n".join(part) for part in described(description)) + "\n\n"
    return _DESCRIBED.sub(lambda _: model + note, card, count=1)


def _note(package: ModelPackage) -> str:
    tested = tested_model(package)
    if tested is None:
        return ""
    return (
        f"## Gate exchanged\n\nThe figures below are of the model {tested}, tested with this network, these lung "
        "fields, this calibration and these thresholds, and with an earlier gate. A test judges every image, "
        "refused or not, so they hold for this model too, but for the shares of refused images in the evidence "
        "report. Those of this gate stand in docs/results/gate.md.\n\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="a package's folder")
    parser.add_argument("gate", type=Path, help="a folder with gate.onnx and gate.json")
    arguments = parser.parse_args()
    print(exchange_gate(arguments.package, arguments.gate).model_id)


if __name__ == "__main__":
    main()
