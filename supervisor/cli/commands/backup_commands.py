"""``cellblock backup`` and ``cellblock restore``: they read and make a data directory, and ask no server."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import output
from supervisor.cli.command_errors import usage
from supervisor.settings.plain_sources import load

if TYPE_CHECKING:
    from supervisor.settings.declarations import Settings
    from supervisor.store.backup.backup_file import Header, Progress
    from supervisor.store.backup.restoring import KeySource
    from supervisor.store.ring.key_ring import KeyRing

MIB = 1 << 20
PASSPHRASE_MOST_BYTES = 4096

DataDir = Annotated[Path | None, typer.Option(help="Folder for everything durable.")]
Config = Annotated[Path | None, typer.Option(help="The server's TOML file of settings.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="File whose first line is the passphrase of the sealing key.")
]


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.")],
    data_dir: DataDir = None,
    config: Config = None,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="The sealing key too, encrypted with a passphrase.")
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write functions, versions, code, secrets and variables to one file, as one moment had them.

    The server may serve meanwhile.  Logs are not in it.  Secrets and variables are sealed: without the
    sealing key (front/sealing.key in the data directory, or --with-key) nobody can read them again.

    Examples:

      cellblock backup monday.backup --data-dir /var/lib/cellblock

      cellblock backup monday.backup --with-key --passphrase-file passphrase
    """
    from supervisor.store.backup.backing_up import back_up
    from supervisor.store.ring.key_file import KEY_NAME, load_key

    settings = _settings(config, data_dir)
    url = settings.shared_store or _url_of_file(settings)
    key_path = settings.front_dir / KEY_NAME

    def keys() -> KeyRing | None:
        return load_key(key_path) if key_path.exists() else None

    passphrase = None
    if with_key:
        if keys() is None:
            raise usage(f"cannot find {key_path}: leave out --with-key")
        passphrase = _passphrase(passphrase_file, is_new=True)
    elif passphrase_file is not None:
        raise usage("the passphrase is for the sealing key: add --with-key, or leave out --passphrase-file")
    done = back_up(url, file, keys, passphrase, _progress())
    output.write_line(
        f"backed up {_counts(done.header)} to {file} ({_mib(done.file_bytes)}); logs are not in it"
    )
    if not with_key:
        output.write_line(f"the sealing key is not in it: keep a copy of {key_path} elsewhere")
    if done.missing:
        output.fail_line(f"{done.missing} bundles are missing in the store: deploy their functions again")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    data_dir: DataDir = None,
    config: Config = None,
    sealing_key: Annotated[
        Path | None, typer.Option(help="The sealing key of that server, kept elsewhere.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the sealing key out, though it is in the backup.")
    ] = False,
) -> None:
    """Make a data directory of a backup, in an empty or new folder; start the server there afterwards.

    The whole file is checked before anything is made.  With the setting store_url the functions, their code
    and the values go into that database, which has to be empty.

    Examples:

      cellblock restore monday.backup --data-dir /var/lib/cellblock --sealing-key sealing.key

      cellblock restore monday.backup --data-dir /var/lib/cellblock --passphrase-file passphrase
    """
    from supervisor.store.backup.restoring import restore as make
    from supervisor.store.ring.key_file import KEY_NAME

    settings = _settings(config, data_dir)
    key_source = _key_source(sealing_key, passphrase_file, without_key)
    done = make(file, settings.front_dir, key_source, _progress(), settings.shared_store)
    output.write_line(
        f"restored {_counts(done.header)} of {done.header.made_at} into {settings.data_dir}; "
        "logs were not in it, and the next start makes a new admin token"
    )
    if done.needs_key:
        output.write_line(
            "secrets and variables need the sealing key of that server: put it at "
            f"{settings.front_dir / KEY_NAME} (mode 0600) before the first start"
        )


def _url_of_file(settings: Settings) -> str:
    from supervisor.store.drivers import DATABASE_NAME

    store = settings.front_dir / DATABASE_NAME
    try:
        is_there = store.is_file() and not store.is_symlink()
    except OSError as error:
        raise usage(
            f"cannot read {settings.front_dir}: {error.strerror}; run this as the user that starts the server"
        ) from None
    if not is_there:
        raise usage(
            f"cannot find a store in {settings.data_dir}; say where the server's --data-dir is, or give the "
            "--config that has its store_url"
        )
    if not os.access(store, os.R_OK | os.W_OK):
        raise usage(f"cannot open {store}: run this as the user that starts the server")
    return f"sqlite:///{store}"


def _key_source(sealing_key: Path | None, passphrase_file: Path | None, without_key: bool) -> KeySource:
    def key_of(header: Header, sealed: bytes | None) -> KeyRing | None:
        from supervisor.store.backup.sealed_key import open_key
        from supervisor.store.ring.key_file import load_key

        if without_key:
            return None
        if sealing_key is not None:
            if not sealing_key.exists():
                raise usage(f"cannot find {sealing_key}: correct --sealing-key")
            ring = load_key(sealing_key)
            needed = set() if header.key is None else set(header.key.split(","))
            if not needed.issubset(ring.ids):
                raise usage(
                    f"{sealing_key} is not the sealing key of this backup"
                    + (", which was made during a rotation and needs both keys" if len(needed) > 1 else "")
                    + "; look for the right one"
                )
            return ring
        if sealed is None:
            if passphrase_file is not None:
                raise usage("the sealing key is not in this backup: give it with --sealing-key FILE")
            return None
        return open_key(sealed, _passphrase(passphrase_file, is_new=False), header.encoded())

    return key_of


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    return load(config, data_dir=data_dir.absolute() if data_dir else None)


def _passphrase(path: Path | None, *, is_new: bool) -> str:
    if path is not None:
        try:
            with path.open(encoding="utf-8") as file:
                return file.readline(PASSPHRASE_MOST_BYTES).rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"cannot read the passphrase from {path}: {error}") from None
    if not sys.stdin.isatty():
        raise usage(
            "the sealing key needs a passphrase: give --passphrase-file FILE, or run this on a terminal"
            + ("" if is_new else "; --without-key leaves the key out")
        )
    passphrase = getpass.getpass("passphrase of the sealing key: ")
    if is_new and getpass.getpass("once more: ") != passphrase:
        raise usage("the two passphrases differ; nothing was written")
    return passphrase


def _progress() -> Progress:
    """Says on a terminal how far it is; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda done, of: None
    said = ""

    def say(done: int, of: int) -> None:
        nonlocal said
        line = f"{_mib(done)} of {_mib(of)}"
        if line != said:
            said = line
            end = "\n" if done >= of else ""
            sys.stderr.write(f"\rcellblock: {line}{end}")
            sys.stderr.flush()

    return say


def _mib(number: int) -> str:
    return f"{number / MIB:.1f} MiB"


def _counts(header: Header) -> str:
    names = {
        "functions": "functions",
        "versions": "versions",
        "bundles": "bundles",
        "space_values": "secrets and variables",
    }
    return ", ".join(f"{header.rows.get(table, 0)} {name}" for table, name in names.items())
