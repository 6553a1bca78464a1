"""Whole models: transformer, blocks, pooling, presets, weight decay."""
