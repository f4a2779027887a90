"""The trigger form of Airflow's UI, as a person at a browser has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.system.browser import Browser

_DIALOG = "document.querySelector('[role=dialog][data-state=open]')"

# What each parameter's field shows; react-select draws a choice, the other widgets are inputs.
_FIELDS = """
Object.fromEntries([...FORM.querySelectorAll("[name^=element_]")].map(input => {
    const field = input.closest("[data-scope=field][data-part=root]");
    const part = name => field.querySelector(`[data-scope=field][data-part=${name}]`);
    const text = element => element ? element.textContent.trim() : null;
    const choice = field.querySelector("[id^=element_] [role=combobox]");
    const kind = {checkbox: "switch", hidden: "choice"}[input.type] || input.getAttribute("role") || "text";
    return [input.name.slice("element_".length), {
        widget: kind === "spinbutton" ? "number" : kind,
        label: text(part("label")),
        shown: choice ? text(choice.parentElement.parentElement) : kind === "switch" ? input.checked : input.value,
        description: text(part("helper-text")),
        section: text(input.closest("[data-part=item]").querySelector("[data-part=item-trigger]")),
        error: text(part("error-text")),
    }];
}))
"""


class TriggerForm:
    """The form of one DAG, opened from the DAG's page."""

    def __init__(self, browser: Browser, url: str, dag_id: str) -> None:
        self._browser = browser
        browser.open(f"{url}/dags/{dag_id}")
        browser.click(self._button("document", "Trigger"))
        browser.wait_for(f"{_DIALOG}?.querySelector('[name^=element_]')")

    def fields(self) -> dict[str, dict[str, Any]]:
        """By parameter: widget, label, shown value, description, section, error."""
        fields: dict[str, dict[str, Any]] = self._browser.evaluate(_FIELDS.strip().replace("FORM", _DIALOG))
        return fields

    def open_section(self, name: str) -> None:
        """Unfold a section, if it is not."""
        trigger = self._button(f"{_DIALOG}.querySelector('[data-testid=config-form]')", name)
        if self._browser.wait_for(f"{trigger}?.dataset.state") == "closed":
            self._browser.click(trigger)
        self._browser.wait_for(f"{trigger}.dataset.state === 'open'")

    def fill(self, name: str, text: str) -> None:
        """Type into a parameter's text or number field, its section being open, and leave it."""
        self._browser.fill(self._input(name), text)

    def switch(self, name: str) -> None:
        """Click a parameter's switch."""
        self._browser.click(f"{self._input(name)}.closest('label')")

    def choose(self, name: str, label: str) -> None:
        """Take a choice from a parameter's list."""
        self._browser.click(f"{_DIALOG}.querySelector('#element_{name} [role=combobox]').parentElement.parentElement")
        options = f"[...document.querySelectorAll('#element_{name} [role=option], body > * [role=option]')]"
        self._browser.click(f"{options}.find(option => option.textContent.trim() === {json.dumps(label)})")

    def is_ready(self) -> bool:
        """Whether the Trigger button can be pressed."""
        return not self._browser.evaluate(f"{self._button(_DIALOG, 'Trigger')}.disabled")

    def submit(self) -> None:
        """Press Trigger."""
        self._browser.click(self._button(_DIALOG, "Trigger"))

    def wait_for(self, name: str, **expected: Any) -> None:
        """Wait until a parameter's field shows what is expected of it."""
        field = f"{_FIELDS.strip().replace('FORM', _DIALOG)}.{name}"
        self._browser.wait_for(" && ".join(f"{field}.{key} === {json.dumps(value)}" for key, value in expected.items()))

    def wait_for_text(self, text: str) -> None:
        """Wait until the page, with its notices, says something."""
        self._browser.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    @staticmethod
    def _button(inside: str, text: str) -> str:
        return f"[...{inside}.querySelectorAll('button')].find(one => one.textContent.trim() === {json.dumps(text)})"

    @staticmethod
    def _input(name: str) -> str:
        return f"{_DIALOG}.querySelector('[name=element_{name}]')"
