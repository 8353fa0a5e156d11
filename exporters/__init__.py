"""From a checkpoint to a policy file: plain-tensor graph, ONNX and TorchScript, parity gate, ``vla-export``."""
