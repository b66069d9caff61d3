"""Which device computes: a GPU where there is one, never what was not asked for."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from core.synthesis.backends import choose_device, devices
from core.synthesis.devices import EXTRAS
from core.synthesis.request import SynthesisError


@pytest.fixture(autouse=True)
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_a_gpu_comes_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (devices(), choose_device()) == (["cpu"], "cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert (devices(), choose_device()) == (["mps", "cpu"], "mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (devices(), choose_device()) == (["cuda", "mps", "cpu"], "cuda")


def test_what_is_installed_is_offered_and_what_is_not_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SynthesisError, match=r"found cpu.*pip install"):
        choose_device("openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert devices() == ["cpu", *EXTRAS]
    assert choose_device("openvino") == "openvino"
    assert choose_device("auto") == "cpu"
