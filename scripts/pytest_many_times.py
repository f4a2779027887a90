"""A plugin of pytest for ``make mutants``, where mutmut runs pytest many times in one process.

It names the tests of a mutant one by one, in no order: here they run in the order of their files. And it mends what an
earlier run leaves behind. Pytest writes a backslash in a test's name anew at each collection, so that a name given is
not found: such tests are left out. Log handlers of an earlier run write to a stream that is closed: they go.
"""

from __future__ import annotations

import logging

import pytest


def pytest_sessionstart() -> None:
    """Remove the log handlers of earlier runs."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", [])[:]:
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)  # type: ignore[union-attr]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by file and line, and leave out those with a backslash in their names."""
    left_out = [item for item in items if "\\" in item.nodeid]
    items[:] = [item for item in items if "\\" not in item.nodeid]
    items.sort(key=lambda item: (str(item.path), item.reportinfo()[1] or 0))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
