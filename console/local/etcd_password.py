"""The password of the etcd that `homeport up` starts: made once, kept in a file, asked for.

Whoever can connect to an etcd without authentication reads every key and may write any. This one
asks for the user root and a random password, which programs read from a file of their user's.
Talks to etcd's JSON gateway, which 3.4 to 3.7 have alike. Blocking.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from console.local.etcd_process import EtcdCluster
from console.local.etcd_program import EtcdFailed
from console.local.stack_plan import ETCD_USER as USER
from control_plane.files import replace_file
from control_plane.private_files import FILE_MODE, mend_file
from control_plane.secret_files import read_secret

# etcd 3.4 logs a request that takes long with all that is in it, and making a user takes long.
_QUIET = ("--log-level=error",)
_ANSWERS_WITHIN_S = 10.0
START_WITHIN_S = 140.0  # of millions of keys it reads the index anew


class _AsksForAnother(EtcdFailed):
    """etcd has a password already, and it is not ours."""


def guarded_cluster(folder: Path, password_file: Path, *, client_port: int) -> EtcdCluster:
    """A single member that runs and asks for the password of the file; both are made where they
    are not there. Raises EtcdFailed, also where etcd asks for another password; InvalidInput,
    Refused for a file that cannot be used."""
    known = password_file.exists()
    if known:
        mend_file(password_file)
    else:
        made = secrets.token_urlsafe(24).encode() + b"\n"
        replace_file(password_file, made, durable=True, mode=FILE_MODE)
    password = read_secret("etcd's password", password_file)
    if not known:
        try:
            _switch_on(folder, password, password_file)
        except _AsksForAnother:
            password_file.unlink()
            raise
    cluster = EtcdCluster(folder, client_port=client_port).start(START_WITHIN_S)
    try:
        asks = asks_for(cluster.endpoints[0], password, password_file)
    except BaseException:  # Ctrl-C too: no etcd may be left
        cluster.stop()
        raise
    if not asks:  # of an earlier version, or a start that was cut short
        cluster.stop()
        _switch_on(folder, password, password_file)
        cluster = EtcdCluster(folder, client_port=client_port).start(START_WITHIN_S)
    return cluster


def asks_for(endpoint: str, password: str, password_file: Path) -> bool:
    """Whether etcd asks for this password; False: for none. Raises EtcdFailed where it asks for
    another one."""
    said = _post(endpoint, "authenticate", name=USER, password=password)
    if not said:
        return True
    if "not enabled" in said:
        return False
    raise EtcdFailed(
        f"etcd does not take the password of {password_file} ({said}); put back the file that "
        "belongs to the data directory"
    )


def _switch_on(folder: Path, password: str, password_file: Path) -> None:
    """Has etcd ask for the password from its next start on."""
    with EtcdCluster(folder, arguments=_QUIET) as cluster:
        endpoint = cluster.endpoints[0]
        said = _post(endpoint, "user/add", name=USER, password=password)
        if "already exists" in said:
            said = _post(endpoint, "user/changepw", name=USER, password=password)
        if said:
            raise _AsksForAnother(
                f"etcd cannot be given a password ({said}): its data directory has one from "
                f"before; put back the file {password_file} that belongs to it"
            )
        said = _post(endpoint, "role/add", name=USER)
        if not said or "already exists" in said:
            said = _post(endpoint, "user/grant", user=USER, role=USER)
        said = said or _post(endpoint, "enable")
    if said:
        raise EtcdFailed(f"etcd cannot be given the password of {password_file}: {said}")


def _post(endpoint: str, method: str, **request: str) -> str:
    """What etcd says against it; empty: it is done. Raises EtcdFailed where it does not answer."""
    connection = http.client.HTTPConnection(endpoint, timeout=_ANSWERS_WITHIN_S)
    try:
        connection.request("POST", f"/v3/auth/{method}", json.dumps(request))
        answer = connection.getresponse()
        document = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EtcdFailed(f"etcd at {endpoint} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status == 200:
        return ""
    found = document if isinstance(document, Mapping) else {}
    return str(found.get("message") or found.get("error") or f"status {answer.status}")
