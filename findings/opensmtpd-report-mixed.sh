#!/bin/sh
# OpenSMTPD 6.8.0p2 (Debian): its reports of deliveries that fail are no multipart/report, do not say
# the envelope id that was asked for, and bring the whole mail where its headers alone were asked for.
#
# Expected: a report is a multipart/report with report-type=delivery-status (RFC 3464, 2), names the
# envelope id that came with MAIL (RFC 3461, 6.3) and, with RET=HDRS, returns no more than headers (RFC
# 3461, 4.3). The server offers DSN and takes all three parameters.
# What happens: the report is a multipart/mixed with a part of message/delivery-status in it, that has
# no Original-Envelope-Id; the part of text/rfc822-headers holds the body as well.
# Why it matters here: whoever finds reports by their top-level type takes these for answers that
# somebody wrote, and shows them in a conversation. A mail from the null sender with a part of
# message/delivery-status is one as well, whatever is around it, and what it is about is found by the
# address that it came to (deployment_units/services/mail_in/delivery_reports.py).
#
# Needs Debian or a kin of it with apt-get and dpkg, root, util-linux and Python 3. Exits with 1 when
# the report is a multipart/report or says the envelope id.
set -eu
folder=$(mktemp -d)
trap 'kill $pids 2>/dev/null || true; rm -rf "$folder"' EXIT
pids=
chmod 755 "$folder"
cd "$folder"
apt-get download opensmtpd=6.8.0p2-4+b4 libevent-2.1-7 >/dev/null 2>&1
mkdir root
for package in *.deb; do dpkg -x "$package" root; done
dpkg-deb -f opensmtpd_*.deb Package Version

cat > sink.py <<'PYTHON'
"""Refuses every recipient but one, and writes what that gets."""
import socketserver, sys

class Session(socketserver.StreamRequestHandler):
    def handle(self):
        say = lambda text: self.wfile.write(text.encode() + b"\r\n")
        say("220 sink.example")
        while line := self.rfile.readline().decode().strip():
            verb = line.upper()
            if verb.startswith("EHLO"):
                say("250 sink.example")
            elif verb.startswith("RCPT") and "sender@" not in line:
                say("550 5.1.1 nobody of that name")
            elif verb == "DATA":
                say("354 go on")
                mail = b""
                while not mail.endswith(b"\r\n.\r\n"):
                    mail += self.rfile.readline()
                open("report.tmp", "wb").write(mail[:-3])
                import os; os.rename("report.tmp", "report")
                say("250 2.0.0 taken")
            elif verb == "QUIT":
                return say("221 bye")
            else:
                say("250 2.0.0 well")

server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
python3 sink.py > sink.port &
pids="$pids $!"
while [ ! -s sink.port ]; do sleep 0.1; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

cat > smtpd.conf <<CONF
listen on 127.0.0.1 port $port hostname mx.mail.example
action "out" relay host smtp://127.0.0.1:$(cat sink.port)
match from any for any action "out"
CONF
for each in passwd group; do cp "/etc/$each" "$each"; done
for user in opensmtpd:991 opensmtpq:992; do
  echo "${user%:*}:x:${user#*:}:${user#*:}::/nonexistent:/usr/sbin/nologin" >> passwd
  echo "${user%:*}:x:${user#*:}:" >> group
done
cat > start <<SH
set -e
mount --bind "$folder/passwd" /etc/passwd
mount --bind "$folder/group" /etc/group
mount --bind "$folder/root/usr/libexec" /usr/libexec
for each in /var/spool /var/lib /run; do mount -t tmpfs none \$each; done
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty
chmod 711 /var/spool/smtpd
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
exec "$folder/root/usr/sbin/smtpd" -d -f "$folder/smtpd.conf"
SH
unshare --mount sh start > smtpd.log 2>&1 &
pids="$pids $!"

cat > send.py <<'PYTHON'
import email, os, smtplib, sys, time
from email import policy

for _ in range(100):
    try:
        client = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10)
        break
    except OSError:
        time.sleep(0.1)
client.ehlo("client.example")
print("offers DSN:", client.has_extn("dsn"))
client.sendmail(
    "sender@talk.example", "nobody@mail.example",
    "From: sender@talk.example\r\nTo: nobody@mail.example\r\nSubject: Ten\r\n\r\nat the harbour\r\n",
    mail_options=["RET=HDRS", "ENVID=abc-1"], rcpt_options=["NOTIFY=FAILURE"],
)
client.quit()
end = time.monotonic() + 60
while not os.path.exists("report"):
    if time.monotonic() > end:
        print("no report came"); sys.exit(2)
    time.sleep(0.2)
report = email.message_from_bytes(open("report", "rb").read(), policy=policy.default)
parts = {part.get_content_type(): part for part in report.walk()}
status = parts["message/delivery-status"].as_string()
headers = parts["text/rfc822-headers"].as_string()
print("top-level type:", report.get_content_type())
print("parts:", ", ".join(list(parts)[1:]))
print("says the envelope id:", "original-envelope-id" in status.lower())
print("the body is among the headers:", "at the harbour" in headers)
same = report.get_content_type() == "multipart/mixed" and "original-envelope-id" not in status.lower()
sys.exit(0 if same else 1)
PYTHON
python3 send.py "$port"
