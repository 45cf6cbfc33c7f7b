"""The audit of candidate tables: one profile per stored table, what is expected of it, and the gate that judges."""
