"""Recurring revenue: from periods of subscriptions to MRR per customer and month, and figures of segments."""
