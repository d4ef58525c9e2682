// One case: looking at uploads while a key is held, and keeping the claim while somebody works.

import { watchLease } from "./lease.js";
import { holdToReveal } from "./reveal.js";

const lease = document.querySelector("[data-lease]");
const credentials = { token: lease.dataset.token, csrf: lease.dataset.csrf };

document.querySelector("[data-unscripted]").hidden = true;
watchLease(lease, document.querySelector("[data-lease-lost]"), credentials);
for (const picture of document.querySelectorAll("[data-reveal]")) {
  holdToReveal(picture, credentials);
}
