"""Where the server's settings come from.

A value comes, the first that is given winning, from the command line, a ``CELLBLOCK_*`` variable,
the TOML file named by ``--config`` or ``CELLBLOCK_CONFIG``, or the default in ``supervisor.settings``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from supervisor.errors import ConfigurationError
from supervisor.settings import Settings


class Given(Settings, BaseSettings):
    """Settings as they are read."""

    model_config = SettingsConfigDict(
        env_prefix="CELLBLOCK_", env_nested_delimiter="__", extra="ignore", frozen=True
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


def load(config: Path | None = None, **given: Any) -> Settings:
    """Settings from ``given`` (``None`` means not given), the environment and ``config``.

    Raises ConfigurationError with one line that names the setting.
    """
    path = config or (Path(env) if (env := os.environ.get("CELLBLOCK_CONFIG")) else None)
    if path is not None and not path.is_file():
        raise ConfigurationError(f"cannot read the settings file {path}: no such file")
    values = {name: value for name, value in given.items() if value is not None}
    try:
        if path is None:
            return Given(**values)

        class FromFile(Given):
            model_config = SettingsConfigDict(toml_file=path, extra="forbid")

        return FromFile(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ConfigurationError(f"cannot use setting {where}: {first['msg']}") from None
    except SettingsError as error:  # a variable that should be JSON
        raise ConfigurationError(
            f"cannot use the settings: {error}; "
            "a list or a table in a CELLBLOCK_* variable is written as JSON"
        ) from None
    except ValueError as error:  # a TOML syntax error
        raise ConfigurationError(f"cannot read the settings file {path}: {error}") from None
