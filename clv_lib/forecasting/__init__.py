"""Orders, revenue and margin of the months to come: existing customers by the models, planned ones by cohort curves."""
