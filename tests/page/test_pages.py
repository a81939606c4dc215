"""The pages as a reader has them: with and without scripts, by mouse, keyboard and screen reader, light and dark."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import html5lib
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_omics.reports.html import render, render_tab
from tests.page.conftest import AXE, start_browser
from tests.reports.cohorts import failed, page_of, record
from tests.reports.test_golden import pages
from tests.reports.test_html import NASTY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from selenium.webdriver import Chrome

    Opened = Callable[..., Chrome]

COHORT = [
    *(record(number, row={"sex": "FM"[number % 2]}) for number in range(120)),
    failed(200, row={"sex": "F"}),
    failed(201, "INPUT_URI_NOT_FOUND"),
    failed(202, "INPUT_URI_NOT_FOUND"),
]


def cells(chrome: Chrome) -> list[list[str]]:
    """Read the table as it is shown: the text of each cell, with the addresses of its links."""
    found: list[list[str]] = chrome.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')].map(row => [...row.cells].map(cell =>"
        " [cell.tagName, cell.scope || '', cell.textContent.trim(),"
        " ...[...cell.querySelectorAll('a')].map(link => link.href)].join(' ')))"
    )
    return found


def samples(chrome: Chrome) -> list[str]:
    return [element.text for element in chrome.find_elements(By.CSS_SELECTOR, "#table tbody th")]


def shown(chrome: Chrome) -> str:
    text: str = chrome.find_element(By.ID, "shown").text
    return text


@pytest.mark.parametrize("name", ["cohort_failed", "cohort_going", "run_failed"])
def test_valid(name: str) -> None:
    """The parser of the HTML standard finds no error."""
    html5lib.HTMLParser(strict=True).parse(render(pages()[name]))


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    list(product(["cohort_failed", "cohort_going", "run_failed"], ["light", "dark"], [1280, 390])),
)
def test_accessible(opened: Opened, name: str, scheme: str, width: int) -> None:
    """axe-core finds nothing: contrast, names, headings, tables, regions that scroll."""
    chrome = opened(pages()[name])
    chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    try:
        # By the driver, as the page's own policy lets no other script in.
        chrome.execute_script(AXE.read_text(encoding="utf-8"))
        found = chrome.execute_async_script("axe.run(document).then(arguments[0])")
        overflow = chrome.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    finally:
        chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 15
    assert overflow <= 0  # wide tables scroll by themselves, the page does not


def test_tab(browser: Chrome, tmp_path: Path) -> None:
    """The frame with the buttons is valid and accessible, also while its question stands there."""
    names = {"dag_id": 'a"><b', "run_id": "one", "task_id": "wgs", "map_index": "-1"}
    html = render_tab(names, "about:blank")
    html5lib.HTMLParser(strict=True).parse(html)
    file = tmp_path / "tab.html"
    file.write_text(html, encoding="utf-8")
    browser.get(file.as_uri())
    browser.execute_script(
        "for (const name of ['actions', 'rerun', 'question']) document.getElementById(name).hidden = false;"
        "document.getElementById('asked').textContent = document.getElementById('confirm').textContent = 'Run again?';"
        "document.getElementById('told').textContent = 'The task is cleared.'"
    )
    browser.execute_script(AXE.read_text(encoding="utf-8"))

    found = browser.execute_async_script("axe.run(document).then(arguments[0])")

    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
    assert browser.execute_script("return document.body.dataset.dag") == 'a"><b'


def test_policy_lets_the_page_work(opened: Opened) -> None:
    """The page's policy refuses nothing that the page needs, and a script of somebody else's."""
    chrome = opened(page_of(COHORT))

    assert chrome.get_log("browser") == []
    ran = chrome.execute_script(
        "window.ran = false; const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        "document.body.append(s); return window.ran"
    )
    assert ran is False
    assert "Content Security Policy" in chrome.get_log("browser")[0]["message"]


def test_filter_sort_and_pages(opened: Opened) -> None:
    """Any text finds its samples; any column sorts; pages go on and back."""
    chrome = opened(page_of(COHORT))
    assert samples(chrome)[:4] == ["S0200", "S0201", "S0202", "S0000"]
    assert shown(chrome) == "1 to 50 of 123 samples"

    chrome.find_element(By.ID, "next").click()
    assert shown(chrome) == "51 to 100 of 123 samples"
    chrome.find_element(By.ID, "filter").send_keys("s011")
    assert samples(chrome) == [f"S011{digit}" for digit in range(10)]
    assert shown(chrome) == "1 to 10 of 10 samples, out of 123"
    head = chrome.find_element(By.CSS_SELECTOR, "th[data-key=sample]")
    for order in ("ascending", "descending"):
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == order
    assert samples(chrome)[0] == "S0119"
    chrome.find_element(By.ID, "clear").click()
    assert samples(chrome)[0] == "S0202"
    chrome.find_element(By.CSS_SELECTOR, "#status option[value=FAILED]").click()
    assert samples(chrome) == ["S0202", "S0201", "S0200"]


def test_failure_in_two_clicks(opened: Opened) -> None:
    """From a cause to its samples is one click, from there to the run's log another."""
    chrome = opened(page_of(COHORT))

    chrome.find_element(By.CSS_SELECTOR, "button.only[data-cause=INPUT_URI_NOT_FOUND]").click()

    assert samples(chrome) == ["S0201", "S0202"]
    log = chrome.find_element(By.CSS_SELECTOR, "a[aria-label='log of run 1000201']")
    assert log.is_displayed()
    assert str(log.get_attribute("href")).endswith("run%2F1000201")


def test_keyboard(opened: Opened) -> None:
    """All that the mouse does the keyboard does: a column is sorted, and a cause chosen, by Enter."""
    chrome = opened(page_of(COHORT))

    chrome.find_element(By.CSS_SELECTOR, "th[data-key=ran] button").send_keys(Keys.ENTER)
    assert chrome.find_element(By.CSS_SELECTOR, "th[data-key=ran]").get_attribute("aria-sort") == "ascending"
    chrome.find_element(By.CSS_SELECTOR, "button.only").send_keys(Keys.ENTER)
    assert chrome.switch_to.active_element.get_attribute("id") == "filter"


def test_reload_keeps_filter_and_place(opened: Opened) -> None:
    """A page that a server draws anew loads itself, and leaves the reader where he was."""
    many = [record(number) for number in range(400)]
    chrome = opened(replace(page_of([*many, failed(999)]), reload_after=1))
    chrome.execute_script("window.before = true")
    chrome.find_element(By.ID, "filter").send_keys("s0")
    chrome.find_element(By.ID, "next").click()

    WebDriverWait(chrome, 30).until(
        lambda seen: seen.execute_script("return !window.before && document.documentElement.dataset.ready") == "true"
    )

    assert chrome.find_element(By.ID, "filter").get_attribute("value") == "s0"
    assert shown(chrome).startswith("51 to 100 of 401 samples")


def test_without_scripts(opened: Opened, tmp_path: Path) -> None:
    """Without scripts the page is whole but for its controls, and its rows are those that the script makes."""
    nasty = [failed(300 + number, run_setting_id=text, row={"sex": text}) for number, text in enumerate(NASTY)]
    odd = [record(400, output_uri="s3://b/a b/ü?x=1&y/"), record(401, output_uri=None, cost_usd=1.234)]
    page = page_of([*COHORT[:20], *nasty, *odd])
    by_script = cells(opened(page))
    plain = start_browser(tmp_path / "profile", scripts=False)
    try:
        opened(page, plain)
        by_page = cells(plain)
        assert not plain.find_element(By.ID, "controls").is_displayed()
        assert plain.find_element(By.ID, "shown").text == f"{20 + len(nasty) + 2} samples."
    finally:
        plain.quit()

    assert len(by_page) > 30
    assert by_script == by_page


def test_100_000_samples(opened: Opened, record_property: Any) -> None:
    """The largest cohort opens within two seconds, and all of it can be searched."""
    lines = [(failed if number % 50 == 0 else record)(number) for number in range(100)]
    many = [{**lines[number % 100], "run_setting_id": f"NA{number}"} for number in range(100_000)]

    chrome = opened(page_of(many))

    times = chrome.execute_script("return performance.getEntriesByType('navigation')[0].toJSON()")
    record_property("opened_ms", times["domContentLoadedEventEnd"])
    assert times["domContentLoadedEventEnd"] < 2_000
    assert shown(chrome) == "1 to 50 of 100,000 samples"
    chrome.find_element(By.ID, "filter").send_keys("NA99999")
    assert samples(chrome) == ["NA99999"]
