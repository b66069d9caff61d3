"""What can run a model, by name; a new one is a line here and a class in ``backends.py``.

Light to import: the window lists devices, and its process never imports torch.
"""

from __future__ import annotations

OPENVINO = "openvino"
BFLOAT16 = "bf16"
DEVICES = {
    "auto": "Automatic",
    "cpu": "CPU",
    "cuda": "NVIDIA GPU",
    "mps": "Apple GPU",
    OPENVINO: "CPU, accelerated (OpenVINO)",
    BFLOAT16: "CPU, bfloat16",
}
"""Name on the command line → what the window calls it."""
EXTRAS = {OPENVINO: "fast"}
"""Name → the extra of the distribution that brings it; a package of the same name is looked for."""
