"""From a checkpoint to a policy file: plain-tensor graph, ONNX and TorchScript, parity gate, ``vla-export``."""

import os

# Read when onnxruntime is imported: nobody is told what is exported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
