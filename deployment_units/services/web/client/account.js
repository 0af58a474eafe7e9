// Whose client it is: by which name others know the account, and where it is at home.

import { call } from "./api.js";
import { showPicture } from "./views.js";

const $ = (id) => document.getElementById(id);

export function showAccount(who) {
  show(who, "", who.account);
  call("GetSettings", {}, "ProfileService").then(({ name, handles }) => {
    const held = handles.find((one) => one.state === "NAME_STATE_HELD")?.handle;
    show(who, name, held ? `@${held}` : who.account);
  }, () => null); // its id does
}

function show(who, name, known) {
  $("me").textContent = name || known;
  $("home").textContent = `${name ? `${known} · ` : ""}at home in ${who.unit}`;
  showPicture($("me-picture"), who.account, name || known);
}
