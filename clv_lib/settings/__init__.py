"""The configuration of a run: frozen models, the layers they are read from, and where each value came from."""

from clv_lib.settings.economics import Economics
from clv_lib.settings.loading import LoadedSettings, config_hash, json_schema, load_settings, show
from clv_lib.settings.models import (
    Churn,
    Gate,
    Orders,
    Reporting,
    Rfm,
    Settings,
)
from clv_lib.settings.predictions import Predictions
from clv_lib.settings.secrets import REDACTED, is_secret
from clv_lib.settings.segments import (
    UNKNOWN_SEGMENT,
    AttributeSegments,
    ChannelSegments,
    CohortSegments,
    LifecycleSegments,
    RfmSegments,
    SegmentType,
    SqlSegments,
    ValueDecileSegments,
)
from clv_lib.settings.silver import Retention, Silver
from clv_lib.settings.sources import OrdersSource, Source, Sources
from clv_lib.settings.values import is_path

__all__ = [
    "REDACTED",
    "UNKNOWN_SEGMENT",
    "AttributeSegments",
    "ChannelSegments",
    "Churn",
    "CohortSegments",
    "Economics",
    "Gate",
    "LifecycleSegments",
    "LoadedSettings",
    "Orders",
    "OrdersSource",
    "Predictions",
    "Reporting",
    "Retention",
    "Rfm",
    "RfmSegments",
    "SegmentType",
    "Settings",
    "Silver",
    "Source",
    "Sources",
    "SqlSegments",
    "ValueDecileSegments",
    "config_hash",
    "is_path",
    "is_secret",
    "json_schema",
    "load_settings",
    "show",
]
