"""Python functions that a suite names: found without running anything, imported when the test starts."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from modelsat.errors import QuestionsError

if TYPE_CHECKING:
    from modelsat.lab.aptitude.checkers import Grade

__all__ = ["locate_function"]


def locate_function(path: str, folder: Path) -> Callable[[], Grade]:
    """Where the function ``"package.module:function"`` is, without importing anything.

    A suite may come from somebody else, so reading it runs none of its code. What it names must lie in its own folder,
    in an installed package, or in a folder of ``$PYTHONPATH``; the standard library offers nothing that grades.

    Args:
        path: The function.
        folder: Folder of the suite.

    Returns:
        What imports the module and returns the function; it raises :class:`~modelsat.errors.QuestionsError`.

    Raises:
        QuestionsError: It is not such a path, or there is no such module in these places.
    """
    module, _, name = path.partition(":")
    parts = module.split(".")
    if not module or not name or not all(part.isidentifier() for part in [*parts, name]):
        raise QuestionsError(f"function {path!r}: write package.module:function")
    home = next((place for place in (folder, *_places()) if _file(place, parts) is not None), None)
    if parts[0] in sys.stdlib_module_names or home is None:
        raise QuestionsError(
            f"function {path!r}: there is no module {module} beside the suite, in an installed package or in a folder "
            "on PYTHONPATH; the standard library is not searched"
        )

    @cache
    def load() -> Grade:
        if str(home) not in sys.path:
            sys.path.append(str(home))
        try:
            imported = import_module(module)
            found = getattr(imported, name)
        except (ImportError, AttributeError) as error:
            raise QuestionsError(f"function {path!r} cannot be imported ({error})") from error
        origin = Path(imported.__file__ or "").resolve()
        if origin != (_file(home, parts) or Path()).resolve():
            raise QuestionsError(f"function {path!r}: another module of that name is imported already, {origin}")
        if not callable(found):
            raise QuestionsError(f"{path} is not a function")
        return found  # type: ignore[no-any-return]

    return load


def _places() -> Iterator[Path]:
    """Folders of installed packages and of ``$PYTHONPATH``."""
    paths = sysconfig.get_paths()
    yield from map(Path, dict.fromkeys([paths["purelib"], paths["platlib"], *site.getsitepackages(), *_own()]))


def _own() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _file(place: Path, parts: list[str]) -> Path | None:
    """Return the file of a module in a folder of modules."""
    base = place.joinpath(*parts)
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
