"""Which service a command talks to: flags > environment > profile in the config file > default.

The config file is the one that --config or HOMEPORT_CLI_CONFIG names, else
~/.config/homeport/config.toml (XDG_CONFIG_HOME is honoured):

    default_profile = "staging"

    [profiles.staging]
    server = "provision.staging.example.net:7700"
    data_server = "sharing.staging.example.net:7703"
    tenant = "shop"
    token_file = "/etc/homeport/token"   # or token = "…"
    ca = "system"
    certificate = "/etc/homeport/me.pem"
    certificate_key = "/etc/homeport/me.key"

Nothing else in the console reads these. A key that nobody knows is an error, not ignored, and so is
a setting that is given and empty; an environment variable that is empty counts as not set.
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from control_plane.auth.credentials import is_mistyped
from control_plane.errors import InvalidInput
from control_plane.exposure import check_shown_certificate
from control_plane.printable import why_unreadable
from control_plane.secret_files import read_secret

if TYPE_CHECKING:
    from homeport import Tls

DEFAULT_SERVER = "127.0.0.1:7700"
DEFAULT_DATA_SERVER = "127.0.0.1:7703"
DEFAULT_TENANT = "default"
_KEYS = (
    "server", "data_server", "tenant", "token", "token_file", "ca", "certificate",
    "certificate_key",
)  # fmt: skip
SYSTEM_CA = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to call, and as whom."""

    servers: tuple[str, ...]  # host:port, at least one
    tenant: str
    token: str = field(repr=False)  # empty: none
    ca: str = ""  # PEM file, SYSTEM_CA, or empty: no TLS
    certificate: str = ""  # PEM file, shown to servers that ask for one; empty: none
    certificate_key: str = ""  # PEM file
    # Where the keys of clients are kept; None: nowhere. Says nothing of whom is called.
    keys: Path | None = field(default=None, compare=False)

    @property
    def server(self) -> str:
        """The first endpoint."""
        return self.servers[0]

    def root_certificates(self) -> bytes | None:
        """The PEM content of `ca`; None: gRPC's own roots. Raises InvalidInput."""
        if self.ca == SYSTEM_CA:
            return None
        try:
            content = Path(self.ca).read_bytes()
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                cadata=content.decode("ascii", "ignore")
            )
        except (ssl.SSLError, ValueError) as error:  # ValueError: there is nothing in it
            why = f"--ca {self.ca} holds no certificate in PEM; name the file of the CA"
            raise InvalidInput("ca", why) from error
        except OSError as error:
            raise InvalidInput("ca", f"--ca {self.ca} cannot be read: {error.strerror}") from error
        return content

    def tls(self) -> Tls | None:
        """What secures connections; None: nothing does. Raises InvalidInput that names the flag
        and the file."""
        # Brings gRPC and cryptography, which --help must not wait for.
        from control_plane.certificates import check_certificate
        from homeport import Tls

        if not self.ca:
            return None
        roots = self.root_certificates()
        if not self.certificate:
            return Tls(root_certificates=roots)
        chain = _read_pem("certificate", self.certificate)
        key = _read_pem("certificate-key", self.certificate_key)
        try:
            check_certificate(chain, key)
        except ValueError as error:
            why = (
                f"--certificate {self.certificate} and --certificate-key {self.certificate_key} "
                f"cannot be used: {error}"
            )
            raise InvalidInput("certificate", why) from error
        return Tls(root_certificates=roots, certificate_chain=chain, private_key=key)


def _read_pem(flag: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(flag, f"--{flag} {path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line said; None where it said nothing."""

    server: str | None = None
    data_server: str | None = None
    tenant: str | None = None
    token: str | None = None
    token_file: str | None = None
    profile: str | None = None
    ca: str | None = None
    certificate: str | None = None
    certificate_key: str | None = None


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the config file would be."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")) / ".config")
    return Path(base).expanduser() / "homeport" / "config.toml"


def _keys_folder(environ: Mapping[str, str], profile: str) -> Path:
    """Where the keys of the clients of a profile are: under XDG_STATE_HOME, ~/.local/state."""
    home = Path(environ.get("HOME", "~"))
    base = environ.get("XDG_STATE_HOME") or str(home / ".local" / "state")
    name = quote(profile or "default", safe="").replace(".", "%2E")
    return Path(base).expanduser() / "homeport" / "keys" / name


def choose_target(
    flags: Flags,
    environ: Mapping[str, str],
    config: Path,
    *,
    required: bool = False,
    data_sharing: bool = False,
) -> Target:
    """Resolves each setting by itself; `data_sharing`: for that service and not for the
    provisioning one; `required`: the config file must be there, because somebody named it.
    Raises InvalidInput for a flag that is empty, a profile that is not there, a config file that
    cannot be read, unknown and empty keys in it, and endpoints that are not host:port."""
    for key in (*_KEYS, "profile"):
        if getattr(flags, key) == "":
            flag = key.replace("_", "-")
            raise InvalidInput(flag, f"--{flag} is empty; give it a value, or leave it out")
    name = flags.profile or environ.get("HOMEPORT_PROFILE")
    # Brings gRPC, which --help must not wait for.
    from homeport.endpoints import parse_servers
    from homeport.local_stack import local_stack

    used, profile = _read_profile(config, name, required)
    chosen = {
        key: getattr(flags, key) or environ.get(f"HOMEPORT_{key.upper()}") or profile.get(key, "")
        for key in _KEYS
    }
    endpoints = chosen["server"] or DEFAULT_SERVER
    if data_sharing:
        endpoints = chosen["data_server"] or DEFAULT_DATA_SERVER
    try:
        servers = parse_servers(endpoints)
    except ValueError as error:
        raise InvalidInput("server", f"--server: {error}") from error
    stack = local_stack(servers)
    if stack is not None:  # `homeport up` runs it on this machine
        chosen["ca"] = chosen["ca"] or stack.ca
        if chosen["ca"] == stack.ca and not (chosen["certificate"] or chosen["certificate_key"]):
            chosen["certificate"] = stack.certificate
            chosen["certificate_key"] = stack.certificate_key
    try:
        check_shown_certificate(
            chosen["certificate"] or None, chosen["certificate_key"] or None, chosen["ca"] or None
        )
    except ValueError as error:
        raise InvalidInput("certificate", str(error)) from error
    sources = ({key: getattr(flags, key) for key in _KEYS},
               {key: environ.get(f"HOMEPORT_{key.upper()}") for key in _KEYS}, profile,
               {"token": stack.token if stack else ""})  # fmt: skip
    return Target(
        servers=servers,
        tenant=chosen["tenant"] or DEFAULT_TENANT,
        token=_token(sources),
        keys=_keys_folder(environ, used),
        ca=chosen["ca"],
        certificate=chosen["certificate"],
        certificate_key=chosen["certificate_key"],
    )


def _token(sources: Sequence[Mapping[str, str | None]]) -> str:
    """Of the first source that says something of it; where one says both, the token itself. Raises
    InvalidInput for a file that cannot be used."""
    for source in sources:
        if token := source.get("token"):
            return _typed_well("token", token)
        if file := source.get("token_file"):
            return _typed_well("token-file", read_secret("token-file", Path(file).expanduser()))
    return ""


def _typed_well(setting: str, token: str) -> str:
    """The token. Raises InvalidInput for one that Homeport never issued in this form."""
    if is_mistyped(token):
        raise InvalidInput(
            setting, f"{setting}: the token fails its checksum: it was mistyped, or cut"
        )
    return token


def _read_profile(
    config: Path, wanted: str | None, required: bool
) -> tuple[str, Mapping[str, str]]:
    """The profile's name and its settings; empty when there is no config file and nobody asked
    for a profile."""
    try:
        document = tomllib.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise InvalidInput("config", f"--config {config} does not exist") from None
        if wanted:
            raise InvalidInput(
                "profile", f"there is no profile {wanted}: {config} does not exist"
            ) from None
        return "", {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"cannot read {config}: {why_unreadable(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("config", f"{config} is not TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 1,000 brackets
        raise InvalidInput("config", f"cannot read {config}: {why_unreadable(error)}") from error
    _check_keys(config, "", document, ("default_profile", "profiles"))
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise InvalidInput("config", f"{config}: profiles must be tables, [profiles.NAME]")
    for name, profile in profiles.items():
        _check_keys(config, f"profiles.{name}", profile, _KEYS)
    name = wanted or document.get("default_profile")
    if name is None:
        return "", {}
    if name not in profiles:
        known = ", ".join(sorted(profiles)) or "none"
        raise InvalidInput("profile", f"there is no profile {name} in {config}; it has {known}")
    found: dict[str, str] = profiles[name]
    if not found:
        raise InvalidInput(
            "config",
            f"{config}: profile {name} is empty, as if the file were half written; give it a "
            f"server, or remove it (known settings: {', '.join(_KEYS)})",
        )
    return name, found


def _check_keys(config: Path, where: str, table: Any, known: tuple[str, ...]) -> None:
    """Every key known, and every setting of a profile a string that says something."""
    if not isinstance(table, dict):
        raise InvalidInput("config", f"{config}: {where} must be a table")
    for key, value in table.items():
        path = f"{where}.{key}" if where else key
        if key not in known:
            raise InvalidInput(
                "config", f"{config}: unknown key {path}; known here: {', '.join(known)}"
            )
        if key == "profiles":
            continue
        if not isinstance(value, str):
            raise InvalidInput("config", f"{config}: {path} must be a string")
        if not value:
            raise InvalidInput(
                "config", f"{config}: {path} is empty; give it a value, or remove it"
            )
