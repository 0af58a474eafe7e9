"""Words that nobody claims as a handle, because who has one speaks for the service.

Mailboxes with a meaning (RFC 2142, RFC 5321 4.5.1, the CA/Browser Forum's for certificates),
roles, and paths that a host answers at. What looks like one of them is reserved as well; whoever
adds a word takes it from nobody who has it.
"""

from __future__ import annotations

RESERVED = frozenset(
    {
        "abuse", "account", "accounts", "admin", "administrator", "admins", "all",
        "anonymous", "api", "app", "apps", "auth", "billing", "bot", "broadcast", "channel",
        "channels", "contact", "daemon", "data-protection", "dpo", "emergency", "everyone",
        "ftp", "guest", "help", "helpdesk", "here", "home", "homeport", "hostmaster",
        "imap", "info", "invite", "invites", "list", "localhost", "login", "logout", "mail",
        "mailer-daemon", "marketing", "me", "moderator", "moderators", "news", "no-reply",
        "nobody", "noc", "noreply", "notifications", "null", "oauth", "official", "owner",
        "password", "payments", "pop", "postmaster", "press", "privacy", "register",
        "robot", "robots", "root", "sales", "security", "service", "settings", "signin",
        "signup", "smtp", "ssl-admin", "sslwebmaster", "staff", "status", "support",
        "sysadmin", "system", "team", "terms", "test", "trust", "undefined", "unsubscribe",
        "user", "users", "verification", "verified", "verify", "webfinger", "webmaster",
        "well-known", "who", "www", "you",
    }
)  # fmt: skip
