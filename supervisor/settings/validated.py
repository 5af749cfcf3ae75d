"""Reading the server's settings with pydantic: every source, every type, each refusal naming its setting.

``supervisor.settings.plain_sources`` imports this only for settings that are not plain, because pydantic
takes longer to import than the rest of a start.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import Field, SecretStr, ValidationError, create_model, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from supervisor.errors import ConfigurationError
from supervisor.function_limits import DEFAULT_CEILINGS
from supervisor.function_options import Options
from supervisor.near_names import hint
from supervisor.settings.declarations import (
    PREFIX,
    TOKEN_LEAST_CHARS,
    Settings,
    host_and_port_of,
    is_no_setting,
)
from supervisor.settings.shared_settings import IS_LIVE
from supervisor.tenancy.quota_names import checked_limits

_NAMES = tuple(each.name for each in fields(Settings))
# Settings that pydantic checks as another type than ``Settings`` keeps them in.
_SECRETS = ("admin_token", "metrics_token")
_CHECKED_AS: dict[str, Any] = {**dict.fromkeys(_SECRETS, SecretStr | None), "defaults": Options}


# How pydantic says what a setting takes, and how we say it.
_PLAIN_WORDS = {
    "Input should be a valid integer, unable to parse string as an integer": "it takes a whole number",
    "Input should be a valid number, unable to parse string as a number": "it takes a number",
    "Input should be": "it has to be",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}


class _Sources(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, then environment, then the TOML file."""
        toml = cls.model_config.get("toml_file")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls)) if toml else sources


def _bind(value: str) -> str:
    host_and_port_of(value)
    return value


def _ceilings(value: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(value) - set(DEFAULT_CEILINGS))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(sorted(DEFAULT_CEILINGS))}")
    # As options, because a ceiling from an environment's variable is text and needs its type and its bounds.
    return {**DEFAULT_CEILINGS, **Options(**value).named()}


def _space_quotas(value: dict[str, int]) -> dict[str, int]:
    return checked_limits(value)


def _metrics_token(value: Any) -> Any:
    if isinstance(value, str) and len(value) < TOKEN_LEAST_CHARS:  # in words that fit a token
        raise ValueError(f"a token has at least {TOKEN_LEAST_CHARS} characters")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        ipaddress.ip_network(one)  # says itself what is wrong
    return value


def _fields() -> dict[str, Any]:
    hints = get_type_hints(Settings)
    found = {}
    for each in fields(Settings):
        kind = _CHECKED_AS.get(each.name, hints[each.name])
        make = Options if kind is Options else each.default_factory
        default = {"default_factory": make} if each.default is MISSING else {"default": each.default}
        metadata = {name: value for name, value in each.metadata.items() if name != IS_LIVE}
        found[each.name] = (kind, Field(**default, **metadata))
    return found


# The fields of ``Settings`` as a model of pydantic's.
Given: type[BaseSettings] = create_model(
    "Given",
    __base__=_Sources,
    __validators__={
        "check_bind": field_validator("bind")(_bind),
        "check_metrics_token": field_validator("metrics_token", mode="before")(_metrics_token),
        "check_proxies": field_validator("trusted_proxies")(_networks),
        "check_space_quotas": field_validator("space_quotas")(_space_quotas),
        "check_ceilings": field_validator("ceilings", mode="after")(_ceilings),
    },
    **_fields(),
)


def validated(path: Path | None, given: dict[str, Any]) -> Settings:
    """Settings from ``given``, the environment and the TOML file ``path``.

    Raises ConfigurationError with one line that names the setting.
    """
    _refuse_unknown_variables()
    try:
        if path is None:
            return _settings(Given(**given))

        class FromFile(Given):  # type: ignore[misc,valid-type]
            model_config = SettingsConfigDict(toml_file=path, extra="forbid")

        return _settings(FromFile(**given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            near = hint(where, _NAMES)
            raise ConfigurationError(
                f"cannot use setting {where}: there is none of that name" + (near and f"; {near}")
            ) from None
        why = str(first["msg"]).removeprefix("Value error, ")
        for theirs, ours in _PLAIN_WORDS.items():
            why = why.replace(theirs, ours)
        raise ConfigurationError(f"cannot use setting {where}: {why}") from None
    except SettingsError as error:  # a variable that should be JSON
        raise ConfigurationError(
            f"cannot use the settings: {error}; "
            "a list or a table in a CELLBLOCK_* variable is written as JSON"
        ) from None
    except ValueError as error:  # a TOML syntax error
        raise ConfigurationError(f"cannot read the settings file {path}: {error}") from None


def _refuse_unknown_variables() -> None:
    """ConfigurationError for a variable with our prefix that no setting has: it would be obeyed by nobody."""
    for variable in sorted(os.environ):
        name = variable.upper()
        key = name.removeprefix(PREFIX).lower().partition("__")[0]
        if not name.startswith(PREFIX) or key in _NAMES or is_no_setting(name):
            continue
        near = hint(key, _NAMES)
        raise ConfigurationError(
            f"cannot use the variable {variable}: there is no setting {key}; "
            + (near or "every one is in docs/settings.md")
            + "; correct it or unset it"
        )


def _settings(found: Any) -> Settings:
    values = {each.name: getattr(found, each.name) for each in fields(Settings)}
    for name in _SECRETS:
        token = values[name]
        values[name] = token.get_secret_value() if token is not None else None
    values["defaults"] = values["defaults"].named()
    return Settings(**values)
