"""Reference outputs of the official code, and the models they are held against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer
from napari_hagmil.models.checkpoints.official import official_to_ours

IAT_CASES = ("iat_n9_ungated", "iat_n40", "iat_n129", "iat_n600_subtyping3")


@dataclass(frozen=True)
class Reference:
    """One file: its tensors and what its metadata say."""

    tensors: dict[str, Tensor]
    facts: dict[str, str]

    def part(self, prefix: str) -> dict[str, Tensor]:
        found = {k: v for k, v in self.tensors.items() if k.startswith(prefix)}
        return {k.removeprefix(prefix): v for k, v in found.items()}

    def config(self) -> IATConfig:
        return IATConfig(
            n_features=int(self.facts["feat_in"]),
            widths=tuple(json.loads(self.facts["hidden_dims"])),
            n_classes=int(self.facts.get("n_classes", 2)),
            gated=self.facts.get("gate", "True") == "True",
            legacy_padding=True,
        )

    def model(self, prefix: str = "weights.") -> IntegratedAttentionTransformer:
        model = IntegratedAttentionTransformer(self.config())
        model.load_state_dict(official_to_ours(self.part(prefix)))
        return model.eval()


def read_reference(path: Path) -> Reference:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Reference(tensors, file.metadata() or {})


@pytest.fixture(params=IAT_CASES)
def iat_case(request: pytest.FixtureRequest, data_dir: Path) -> Reference:
    return read_reference(data_dir / "reference" / f"{request.param}.safetensors")


@pytest.fixture
def cascade_case(data_dir: Path) -> Reference:
    return read_reference(data_dir / "reference" / "cascade.safetensors")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing by several threads, and wait for them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
