"""PyTorch modules, and their export to ONNX."""
