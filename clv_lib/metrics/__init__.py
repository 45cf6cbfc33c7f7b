"""Figures per segment, acquisition channel and cohort, from the additive tables below them."""
