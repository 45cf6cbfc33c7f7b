"""What commands share: the settings of their arguments, a Spark session for their time, and standard output."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clv_lib.errors import LakeError
from clv_lib.settings import LoadedSettings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.lake import Lake, Publication
    from clv_lib.settings import Settings

LOGGER = logging.getLogger("clv")


def loaded(arguments: argparse.Namespace) -> LoadedSettings:
    """The settings of `--config`, the environment and `--set`. ConfigurationError with every fault."""
    return load_settings(arguments.config, arguments.overrides, os.environ)


@contextmanager
def spark_session(settings: Settings, *, quiet: bool = False) -> Iterator[SparkSession]:
    """A session for one command: one that was running before is joined and left running, ours is stopped."""
    if not quiet:
        LOGGER.info("starting Spark", extra={"step": "start"})
    from pyspark.sql import SparkSession

    from clv_lib.session import build_session, launch_of

    joined = SparkSession.getActiveSession() is not None or launch_of(os.environ) == "platform"
    spark = build_session("clv", settings.spark)
    try:
        yield spark
    finally:
        if not joined:
            spark.stop()


def published(lake: Lake, arguments: argparse.Namespace) -> Publication:
    """What is published in the lake. LakeError with the next step if nothing is."""
    from clv_lib.lake import Pointer

    publication = Pointer(lake).current()
    if publication is None:
        raise LakeError(
            "nothing is published in this lake yet",
            where=lake.root,
            next_step=f"clv run --config {arguments.config} --as-of YYYY-MM-DD\n"
            "if a run was refused, `clv runs` lists it and `clv show data_quality_results --run-id ID` says why",
        )
    return publication


def write(text: str) -> None:
    """A line, or several, on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
