// The account's messages as they come, from a position on. A connection that breaks is made anew by
// the browser, with the last position; one that was refused, by us, later and later.

const MOST_WAIT_MS = 30_000;

export function follow(after, { message, connected, ended }) {
  let position = after;
  let wait = 1_000;
  let source = null;
  let timer = 0;
  let over = false;

  function connect() {
    source = new EventSource(`/events?after=${position}`);
    source.onopen = () => {
      wait = 1_000;
      connected(true);
    };
    source.onmessage = (event) => {
      position = event.lastEventId;
      message(JSON.parse(event.data).message);
    };
    source.addEventListener("end", (event) => {
      source.close();
      const status = JSON.parse(event.data);
      if (status.code === 16 || status.code === 9) stop(status);
      else again();
    });
    source.onerror = () => {
      connected(false);
      if (source.readyState === EventSource.CLOSED) again();
    };
  }

  function again() {
    connected(false);
    if (over) return;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      // What an EventSource was refused for it does not say.
      const answer = await fetch("/session").catch(() => null);
      if (over) return;
      if (answer?.status === 401) stop(await answer.json().catch(() => ({})));
      else connect();
    }, wait);
    wait = Math.min(wait * 2, MOST_WAIT_MS);
  }

  function stop(status) {
    over = true;
    clearTimeout(timer);
    source?.close();
    if (status) ended(status);
  }

  connect();
  return () => stop(null);
}
