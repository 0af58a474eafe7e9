"""A locustfile of some settings. Pure."""

from __future__ import annotations

import json

from simulation.load.settings import LoadSettings

_FILE = '''"""Users of Homeport for Locust. They call HOMEPORT_SERVER or --host with HOMEPORT_TOKEN,
over TLS where HOMEPORT_CA names the file of a CA."""

import json

from simulation.load.export.locust_user import locust_classes
from simulation.load.settings import settings_of

SETTINGS = json.loads("""
@SETTINGS@
""")

HomeportUser, HomeportShape = locust_classes(settings_of(SETTINGS))
'''


def locust_file(settings: LoadSettings) -> str:
    """Its text."""
    # What settings hold is words of ours and numbers: nothing in them ends the string.
    return _FILE.replace("@SETTINGS@", json.dumps(settings.document(), indent=2))
