"""Customer lifetime value, churn and acquisition cost on Delta tables."""

__version__ = "0.1.0"
