"""How good a model is: metrics with intervals, curves, calibration, and where it looked."""
