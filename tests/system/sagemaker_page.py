"""The SageMaker tab of Airflow's UI, as a person at a browser has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.system.browser import Browser

_PAGE = "(document.querySelector('[data-testid^=sagemaker-]') ?? document.body)"


class SageMakerPage:
    """The tab of one DAG run."""

    def __init__(self, browser: Browser, url: str, dag_id: str, run_id: str | None = None) -> None:
        self._browser = browser
        place = f"runs/{quote(run_id)}/plugin/sagemaker-run" if run_id else "plugin/sagemaker"
        browser.open(f"{url}/dags/{dag_id}/{place}")

    def says(self, *texts: str) -> bool:
        """Whether the tab shows all these texts."""
        shown = self.text()
        return all(text in shown for text in texts)

    def text(self) -> str:
        """All that the tab shows."""
        return str(self._browser.evaluate(f"{_PAGE}.innerText"))

    def statuses(self) -> dict[str, str]:
        """The status of each step, as the table has it."""
        rows = f"[...{_PAGE}.querySelectorAll('table')[0]?.querySelectorAll('tbody tr') ?? []]"
        found: dict[str, Any] = self._browser.evaluate(
            f"Object.fromEntries({rows}.map(row => [...row.cells].map(one => one.innerText)).map(it => [it[0], it[2]]))"
        )
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a button."""
        return bool(self._browser.evaluate(f"!!{self._button(name)}"))

    def press(self, name: str) -> None:
        """Press a button that asks, and confirm."""
        self._browser.click(self._button(name))
        self._browser.click(self._button(f"Yes, {name.lower()}"))

    def open_step(self, name: str) -> None:
        """Click a step's box in the graph."""
        names = f"[...{_PAGE}.querySelectorAll('svg [data-step] .name')]"
        self._browser.click(f"{names}.find(one => one.textContent === {json.dumps(name)})")

    @staticmethod
    def _button(name: str) -> str:
        return f"[...{_PAGE}.querySelectorAll('button')].find(one => one.innerText.trim() === {json.dumps(name)})"
