// A form sent by script, with the session's token in a header.

export function post(url, { token, csrf }, accept, signal, more = {}) {
  return fetch(url, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf, Accept: `${accept}, application/problem+json` },
    body: new URLSearchParams({ token, ...more }),
    keepalive: accept === "*/*",
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
    signal,
  });
}

export async function sentence(response) {
  try {
    return (await response.json()).detail;
  } catch {
    return "the console does not answer; try again";
  }
}
