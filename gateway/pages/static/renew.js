// Parts of a page as they are now, without loading it anew: what stands beside them, such as a secret, stays.

import { call } from "./api.js";
import { localTimes } from "./app.js";

/** Replace what is in the elements with these ids by what the page of this address has in them now. */
export async function renew(...ids) {
  const { body } = await call("GET", location.pathname + location.search, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(body, "text/html");
  for (const id of ids) {
    const place = document.getElementById(id);
    place.replaceChildren(...page.getElementById(id).childNodes);
    localTimes(place);
  }
}
