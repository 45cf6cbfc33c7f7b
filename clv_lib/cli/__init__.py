"""The command line `clv`: parse, call, print, exit code. Spark, pandas and Great Expectations load with a command."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from clv_lib.cli.logs import error_text, set_up
from clv_lib.cli.parser import build_parser
from clv_lib.errors import CRASH_EXIT_CODE, SUCCESS_EXIT_CODE, ClvError

INTERRUPT_EXIT_CODE = 130
"""128 + SIGINT, as shells report it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: that of its error class, 1 with a traceback for a defect of clv.

    Results go to standard output, log lines and errors to standard error.
    """
    arguments: Any = SimpleNamespace(log_format="text")
    try:
        arguments = build_parser().parse_args(sys.argv[1:] if argv is None else list(argv))
        set_up(arguments.log_format)
        return int(arguments.command(arguments) or SUCCESS_EXIT_CODE)
    except SystemExit as leaving:  # --help and --version
        return leaving.code if isinstance(leaving.code, int) else SUCCESS_EXIT_CODE
    except ClvError as error:
        sys.stderr.write(error_text(error, arguments.log_format) + "\n")
        return error.exit_code
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: nothing was published; running again is safe\n")
        return INTERRUPT_EXIT_CODE
    except Exception:
        logging.getLogger("clv").debug("crash", exc_info=True)
        sys.stderr.write(traceback.format_exc())
        sys.stderr.write("this is a defect of clv; please report it with the lines above\n")
        return CRASH_EXIT_CODE


def _reader_left() -> int:
    """`clv sql … | head` ends when head has enough; Python must not complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SUCCESS_EXIT_CODE
