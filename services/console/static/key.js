// A security key: asked by the browser, answered in a form.

const form = document.querySelector("[data-key]");
const hint = form.querySelector("[data-key-hint]");

async function answer() {
  const csrf = form.elements.csrf.value;
  const response = await fetch(form.dataset.options, {
    method: "POST",
    headers: { "X-CSRF-Token": csrf, Accept: "application/json" },
    body: new URLSearchParams(),
    credentials: "same-origin",
  });
  if (!response.ok) throw new Error("options");
  const options = await response.json();
  const made =
    form.dataset.key === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  form.elements.credential.value = JSON.stringify(made.toJSON());
  form.submit();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    hint.textContent = "This browser is too old for security keys; update it, or use a code.";
    return;
  }
  hint.textContent = "Follow what your browser says.";
  try {
    await answer();
  } catch {
    hint.textContent = "That did not work. Try again, with the key plugged in or this device unlocked.";
  }
});
