"""docs/settings.md against the code: every setting and option with unit, default, bounds and sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from supervisor.function_limits import DEFAULT_CEILINGS, MIB, Limits
from supervisor.function_options import Options
from supervisor.settings.declarations import Settings
from supervisor.settings.plain_sources import load
from supervisor.settings.reloading import LIVE

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/settings.md").read_text(encoding="utf-8")
UNITS = ("seconds", "bytes", "MiB", "cores")
# Defaults that are found out when the server starts.
FOUND_OUT = {
    "data_dir": "`/var/lib/cellblock` for root, else `~/.local/share/cellblock`",
    "runtimes_dir": "`share/cellblock/runtimes` in the server's environment",
    "defaults": "none named",
    "otlp_headers": "none",
    "space_quotas": "none",
    "trusted_proxies": "none",
    "ceilings": "the column *ceiling* below",
}
# Options that are stored and shown and that nothing acts on yet.
PENDING = {"async_timeout"}


def sentence_and_unit(field: Field[Any]) -> tuple[str, str]:
    """A description ends in its unit, where it has one."""
    text = field.metadata["description"]
    assert text, "a setting without a sentence"
    head, _, last = text.rpartition(", ")
    return (head, last) if last in UNITS else (text, "")


def shown(value: Any, unit: str = "") -> str:
    """A value as the page writes it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if unit == "bytes" and value and value % MIB == 0:
        return f"{value // MIB:,} MiB"
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, float):
        return f"{int(value) if value.is_integer() else value:,}"
    return f"{value:,}" if isinstance(value, int) else f"`{value}`"


def bounds(field: Field[Any], hint: Any, unit: str) -> str:
    """The field's bounds as the page writes them."""
    found = field.metadata
    if "max_length" in found:
        return f"at most {found['max_length']} characters"
    if "le" not in found:
        return ", ".join(f"`{choice}`" for choice in get_args(hint) if get_origin(hint) is Literal)
    least = f"above {shown(found['gt'])}" if "gt" in found else shown(found["ge"], unit)
    return f"{least} to {shown(found['le'], unit)}"


def row(*columns: str) -> str:
    return "|" + "|".join(f" {column} " if column else " " for column in columns) + "|"


def setting_rows() -> list[str]:
    rows = []
    hints = get_type_hints(Settings)
    for field in fields(Settings):
        sentence, unit = sentence_and_unit(field)
        default = FOUND_OUT.get(field.name) or shown(field.default, unit)
        limits = bounds(field, hints[field.name], unit)
        variable = f"`CELLBLOCK_{field.name.upper()}`"
        rows.append(row(f"`{field.name}`", unit, default, limits, variable, sentence))
    return rows


def option_rows() -> list[str]:
    rows = []
    hints = get_type_hints(Limits)
    for field in fields(Limits):
        sentence, unit = sentence_and_unit(field)
        default, ceiling = shown(field.default, unit), shown(DEFAULT_CEILINGS.get(field.name), unit)
        if field.name in PENDING:
            sentence = f"*pending:* {sentence}"
        limits = bounds(field, hints[field.name], unit)
        rows.append(row(f"`{field.name}`", unit, default, limits, ceiling, sentence))
    return rows


def section(title: str) -> list[str]:
    """The table rows of a section, without the two lines of its head."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]


def test_the_page_says_of_every_setting_what_the_code_says() -> None:
    # The page has an order of its own, by subject.
    assert sorted(section("Settings of the server")) == sorted(setting_rows())


def test_the_page_says_of_every_option_what_the_code_says() -> None:
    assert section("Options of a function") == option_rows()


def test_the_page_says_which_settings_change_at_sighup() -> None:
    (listed,) = re.findall(
        r"while the server runs, and no call is lost for it: (.*?);", PAGE, flags=re.DOTALL
    )
    assert re.findall(r"`(\w+)`", listed) == sorted(LIVE)


def test_every_ceiling_is_of_an_option_and_within_its_bounds() -> None:
    assert Options(**DEFAULT_CEILINGS).named() == DEFAULT_CEILINGS


def test_the_example_file_of_the_page_is_one_that_the_server_takes(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "cellblock.toml"
    path.write_text(example)

    settings = load(path)

    assert settings.defaults == {"timeout": 5}
    assert settings.all_ceilings["timeout"] == 60
    assert settings.all_ceilings["network"] == "host"


def test_the_example_variables_of_the_page_are_ones_that_the_server_takes() -> None:
    (example,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    program = (
        "from supervisor.settings.plain_sources import load; s = load(); "
        "print(s.workers, s.defaults, s.all_ceilings['timeout'], s.preload)"
    )

    done = subprocess.run(
        ["sh", "-euc", f'{example}\nexec "$0" -c "$1"', sys.executable, program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout.strip() == "4 {'timeout': 5.0} 60.0 ('numpy', 'requests')", done
