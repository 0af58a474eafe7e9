"""Mail servers of others, Debian's Postfix and OpenSMTPD, each as a private instance: its own
configuration, queue and log in one folder, on a port of loopback, and gone when its test is.

The programs are those of the machine, or of a folder into which the packages were unpacked
(`dpkg -x`), which HOMEPORT_MAIL_SERVERS names. Both begin as root; OpenSMTPD has its folders and
users built in, and so gets others in place of them, in a mount namespace.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

import pytest

from console.local.etcd_process import free_ports

ROOT = Path(os.environ.get("HOMEPORT_MAIL_SERVERS") or "/")
LIBRARIES = f"{ROOT}/usr/lib/postfix:{ROOT}/usr/lib/x86_64-linux-gnu"
WAIT_S = 60.0
MOST_BEGINNINGS = 3


class MailServer:
    """A context manager. ours: the port to which it sends mail for talk.example, and for
    bounce.example, which is refused there; it takes mail for carla@mail.example, and cannot send to
    slow.example."""

    def __init__(self, folder: Path, ours: int) -> None:
        self._base = folder
        self.ours = ours
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        for number in range(MOST_BEGINNINGS):  # somebody else may take the port that was free
            self.folder = self._base / f"{number}"
            self.folder.mkdir()
            self.log = self.folder / "log"
            (self.port,) = free_ports(1)
            try:
                if await self._begun():
                    return self
            except (
                BaseException
            ):  # cancelled too: its processes are nobody else's; it goes on upwards
                await self.__aexit__()
                raise
        raise AssertionError(f"it ends by itself: {self.log.read_text()}")

    async def _begun(self) -> bool:
        """Whether it answers; False: it has ended."""
        command = self._prepared()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES},
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        async with asyncio.timeout(WAIT_S):
            while self._process.returncode is None:
                if await self._answers():
                    return True
                await asyncio.sleep(0.1)
        return False

    async def __aexit__(self, *failure: object) -> None:
        """Ends all of its processes: they are one session."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()

    def _prepared(self) -> list[str]:
        raise NotImplementedError

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await reader.read()
        return True


def needs(program: str, package: str) -> None:
    """Skips where it cannot be run here, and says why."""
    if not (ROOT / program).exists():
        pytest.skip(
            f"needs {package}: apt-get install {package}, or unpack it and name the folder in "
            "HOMEPORT_MAIL_SERVERS"
        )
    if os.geteuid() != 0:
        pytest.skip(f"{package} begins as root")


class Postfix(MailServer):
    """With its own users' rights: mail's, games', nobody's."""

    def _prepared(self) -> list[str]:
        needs("usr/lib/postfix/sbin/master", "postfix")
        at = self.folder
        owner = pwd.getpwnam("mail").pw_uid
        (at / "etc").mkdir()
        self.log.touch()
        for name in (
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
            "private", "saved", "trace", "maildrop", "public", "pid",
        ):  # fmt: skip
            (at / "queue" / name).mkdir(parents=True)
            if name != "pid":
                shutil.chown(at / "queue" / name, "mail", "games")
        for name in ("data", "mail"):
            (at / name).mkdir()
            shutil.chown(at / name, "mail", "mail")
        _open_to_others(at)
        (at / "etc/transport").write_text(
            f"bounce.example smtp:[127.0.0.1]:{self.ours}\n"
            "slow.example smtp:[127.0.0.1]:1\n"
            f"talk.example smtp:[127.0.0.1]:{self.ours}\n"
        )
        (at / "etc/main.cf").write_text(_MAIN.format(at=at, root=ROOT, libs=LIBRARIES, owner=owner))
        (at / "etc/master.cf").write_text(_MASTER.format(port=self.port))
        return [f"{ROOT}/usr/lib/postfix/sbin/master", "-c", f"{at}/etc", "-d"]


_MAIN = """\
compatibility_level = 3.6
queue_directory = {at}/queue
data_directory = {at}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {at}/etc
mail_owner = mail
setgid_group = games
default_privs = nobody
import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH={libs}
maillog_file = {at}/log
maillog_file_prefixes = {at}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.mail.example
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = mail.example
virtual_mailbox_maps = inline:{{carla@mail.example=carla/}}
virtual_mailbox_base = {at}/mail
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
virtual_minimum_uid = 1
transport_maps = texthash:{at}/etc/transport
alias_maps =
alias_database =
smtp_host_lookup = native
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class OpenSmtpd(MailServer):
    """Its folders and users are built in: it sees others in their place. A connection to
    slow.example is taken, and ended after a while, for it tells of a delay no earlier than it
    tries."""

    async def __aenter__(self) -> Self:
        self._slow = await asyncio.start_server(_not_now, "127.0.0.2", 0)
        try:
            return await super().__aenter__()
        except BaseException:  # whatever kept it from starting goes on upwards
            self._slow.close()
            raise

    async def __aexit__(self, *failure: object) -> None:
        self._slow.close()
        await super().__aexit__(*failure)

    def _prepared(self) -> list[str]:
        needs("usr/libexec/opensmtpd/mail.mda", "opensmtpd")
        if not _has_namespaces():
            pytest.skip("opensmtpd needs a mount namespace here, and there are none")
        at = self.folder
        (at / "mail").mkdir()
        shutil.chown(at / "mail", "mail", "mail")
        _open_to_others(at)
        for name, rest in (("passwd", "::/nonexistent:/usr/sbin/nologin"), ("group", "")):
            lines = [f"{user}:x:{n}:{n}{rest}" if rest else f"{user}:x:{n}:" for user, n in _USERS]
            (at / name).write_text(Path(f"/etc/{name}").read_text() + "\n".join(lines) + "\n")
        slow = self._slow.sockets[0].getsockname()[1]
        (at / "smtpd.conf").write_text(
            _SMTPD.format(port=self.port, at=at, ours=self.ours, slow=slow)
        )
        (at / "run").write_text(_IN_NAMESPACE.format(at=at, root=ROOT))
        return ["unshare", "--mount", "sh", f"{at}/run"]


async def _not_now(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1.5)
    writer.write(b"421 4.3.2 not now\r\n")
    writer.close()


def _has_namespaces() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and not subprocess.run([unshare, "--mount", "true"]).returncode


def _open_to_others(folder: Path) -> None:
    """Processes of a server have the rights of others: they may pass through, as far as it is
    ours."""
    for path in (folder, *folder.parents):
        if path.owner() == "root" and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)


_USERS = (("opensmtpd", 991), ("opensmtpq", 992))
_SMTPD = """\
bounce warn-interval 1s
listen on 127.0.0.1 port {port} hostname mx.mail.example
table carla {{ "carla@mail.example" = "mail" }}
action "in" mda "cat >> {at}/mail/carla" virtual <carla>
action "ours" relay host smtp://127.0.0.1:{ours}
action "slow" relay host smtp://127.0.0.2:{slow}
match from any for domain "mail.example" action "in"
match from any for domain "talk.example" action "ours"
match from any for domain "bounce.example" action "ours"
match from any for domain "slow.example" action "slow"
"""
_IN_NAMESPACE = """\
set -e
mount --bind {at}/passwd /etc/passwd
mount --bind {at}/group /etc/group
mount --bind {root}/usr/libexec /usr/libexec
for each in /var/spool /var/lib /run; do mount -t tmpfs none $each; done
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd
exec {root}/usr/sbin/smtpd -d -f {at}/smtpd.conf
"""
