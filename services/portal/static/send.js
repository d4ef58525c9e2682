// Sending a message whose answer must not be lost: the very same bytes again until one arrives.
//
// A message carries `newKey()`, random bytes of this device's. The server knows by them that it has
// answered already, and for a quarter of an hour it answers the same again, so that sending twice
// is never two cases.

const PAUSES = [1000, 3000, 8000];
const AT_FAULT = [502, 503, 504];

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Whether an earlier sending may have arrived though no answer came.
export class Lost extends Error {
  constructor(offline) {
    super("no answer arrived");
    this.offline = offline;
  }
}

// {ok, answer, again}: `again` says whether it took more than one sending. Raises Lost. `onRetry`
// hears of every new try.
export async function send(setting, body, onRetry) {
  for (let tried = 0; ; tried++) {
    try {
      return { ...await once(setting, body), again: tried > 0 };
    } catch {
      if (!navigator.onLine || tried === PAUSES.length) throw new Lost(!navigator.onLine);
      onRetry();
      await new Promise((resolve) => setTimeout(resolve, PAUSES[tried]));
    }
  }
}

async function once({ post, csrf }, body) {
  const response = await fetch(post, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": csrf },
    body,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  if (AT_FAULT.includes(response.status)) throw new Error("not just now");
  return { ok: response.ok, answer: await response.json() };
}
