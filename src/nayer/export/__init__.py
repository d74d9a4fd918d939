"""A classifier as a file that runs without PyTorch: ONNX, in fp32 or in INT8 calibrated on synthetic images."""
