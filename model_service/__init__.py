"""Tier 2: trains, keeps and serves the K-Means segmentation model. It knows no MongoDB."""
