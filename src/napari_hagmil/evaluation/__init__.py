"""Evaluation of models: metrics with intervals, curves, calibration and localisation."""
