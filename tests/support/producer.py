"""Producer: a program that publishes events with the SDK, in order, while servers come and go."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future

from homeport.event_publisher import EventPublisher, Published
from tests.support.decision_run import reading

HOLD_S = 300.0  # a busy machine takes its time to start servers


class Producer:
    """Publishes events 0, 1, 2, … at one address, in order, until it is stopped; `most` in all."""

    def __init__(self, address: str, *, most: int = 100_000) -> None:
        self._most = most
        self._over = threading.Event()
        self._publisher = EventPublisher(address, hold_s=HOLD_S)
        self.answers = list[Future[Published]]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while len(self.answers) < self._most and not self._over.wait(0.02):
            event = reading(len(self.answers))
            self.answers.append(
                self._publisher.publish(
                    event.type, json.loads(event.text_data), source=event.source, id=event.id,
                    subject=event.attributes["subject"].ce_string,
                )
            )  # fmt: skip

    def more(self, count: int) -> None:
        """Until so many more were answered."""
        last = min(len(self.answers) + count, self._most)
        while len(self.answers) < last:
            assert not self._over.wait(0.05)
        self.answers[last - 1].result(HOLD_S)

    @property
    def unanswered(self) -> int:
        """Events that wait for their answer now."""
        return len(self._publisher)

    def stop(self) -> list[Published]:
        """Where each event is."""
        self._over.set()
        self._thread.join()
        self._publisher.close(HOLD_S)
        return [one.result(0) for one in self.answers]
