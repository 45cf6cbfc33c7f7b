"""Silver to facts about customers: metrics, RFM scores, attributes."""
