"""The user's folders, and what takes their place where the user has none."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

logger = logging.getLogger("modelsat")


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """Where the user keeps files of this ``kind`` of ours.

    Without a home folder (a container's account that has no entry) it is inside ``$MODELSAT_CACHE_DIR``; without that,
    a temporary one, which is removed when the process ends; a warning says so once.
    """
    import platformdirs

    find = platformdirs.user_cache_dir if kind == "cache" else platformdirs.user_data_dir
    try:
        folder = Path(find("modelsat", appauthor=False))
    except (RuntimeError, KeyError):  # how platformdirs says that there is no home
        folder = Path("~")
    if folder.is_absolute():
        return folder
    named = os.environ.get("MODELSAT_CACHE_DIR")
    return Path(named) / kind if named else _temporary() / kind


@cache
def _temporary() -> Path:
    try:
        folder = tempfile.mkdtemp(prefix="modelsat-")
    except OSError as error:
        logger.warning("neither a home folder nor a temporary one can be used, so nothing is kept: %s", error)
        return Path(os.devnull) / "modelsat"
    logger.warning(
        "there is no home folder: files are kept in %s until this process ends; set HOME or $MODELSAT_CACHE_DIR "
        "to keep them",
        folder,
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
