"""A plugin of pytest for ``make mutants``: tests stand in the order of their files, and each has one name.

mutmut names the tests of a mutant one by one, in no order. And it collects them several times in one process, where
pytest writes a backslash in a test's name anew each time, so that the name given is not found: such tests are left out.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests by file and line, and leave out those with a backslash in their names."""
    left_out = [item for item in items if "\\" in item.nodeid]
    items[:] = [item for item in items if "\\" not in item.nodeid]
    items.sort(key=lambda item: (str(item.path), item.reportinfo()[1] or 0))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
