"""Segments: which there are, who belongs to them, and how RFM scores are named."""
