// Whose client it is: by which name others know the account, and where it is at home.

import { call, signOut } from "./api.js";
import { forgetNames } from "./store.js";
import { showPicture } from "./views.js";

const $ = (id) => document.getElementById(id);

export function showAccount(who) {
  show(who, "", who.account);
  call("GetSettings", {}, "ProfileService").then(({ name, handles }) => {
    const held = handles.find((one) => one.state === "NAME_STATE_HELD")?.handle;
    show(who, name, held ? `@${held}` : who.account);
  }, () => null); // its id does
}

// Signs out; what is said of it.
export async function leave() {
  const away = await signOut().then(() => false, () => true);
  forgetNames();
  return away ? "Your unit did not hear it. Open this page again, and sign out once more."
    : "You are signed out.";
}

function show(who, name, known) {
  $("me").textContent = name || known;
  $("home").textContent = `${name ? `${known} · ` : ""}at home in ${who.unit}`;
  showPicture($("me-picture"), who.account, name || known);
}
