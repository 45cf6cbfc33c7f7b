"""Experiments: who was assigned to what, sums per variant and segment, and what the variants changed."""
