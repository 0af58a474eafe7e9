// What became of the account's own messages, by recipient: asked for when something was sent, and
// again, ever more rarely, for as long as one of them is not over.

import { call } from "./api.js";

const FIRST_MS = 1_500;
const MOST_MS = 60_000;
const SAID = {
  KEPT: "on its way to", ROUTED: "on its way to", HANDED_OVER: "handed over for", DELIVERED: "delivered to",
  DELAYED: "delayed on the other side, which still tries, for", SEEN: "seen by", UNDELIVERABLE: "could not be delivered to", EXPIRED: "came too late for",
  WITHHELD: "withheld from", UNKNOWN: "nobody knows whether it reached",
};

export function watchDeliveries(store, changed) {
  let timer = 0;
  let wait = FIRST_MS;
  let over = false;

  async function look() {
    const answer = await call("ListDeliveries", { pageSize: 200 }, "DeliveryService").catch(() => null);
    if (over) return;
    if (!answer) { // the unit is away
      later();
      return;
    }
    store.deliveries.clear();
    for (const one of answer.deliveries) {
      store.deliveries.set(one.message, [...(store.deliveries.get(one.message) ?? []), one]);
    }
    changed();
    if (answer.deliveries.some((one) => one.nextTime)) later();
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(look, wait);
    wait = Math.min(wait * 2, MOST_MS);
  }

  look();
  return {
    sent() {
      wait = FIRST_MS;
      later();
    },
    stop() {
      over = true;
      clearTimeout(timer);
    },
  };
}

// In words, with the other side's own where there are any, and with what was lost on the way.
export function deliveryLine(delivery, name) {
  const state = delivery.state.replace("DELIVERY_STATE_", "");
  const why = delivery.words && state !== "DELIVERED" && state !== "SEEN" ? ` (${delivery.words})` : "";
  return `${SAID[state] ?? "kept for"} ${name}${why}${without(delivery)}`;
}

// What the last attempt lost of the message: " without buttons, image".
export function without(delivery) {
  const lost = delivery.attempts?.at(-1)?.lost ?? [];
  return lost.length ? ` without ${lost.join(", ")}` : "";
}
