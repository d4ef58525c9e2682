// Keys at a case: letters select a decision, other keys submit it. Each can be chosen otherwise, or
// all turned off. While somebody types, letters are letters.

export function keyOf(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  parts.push(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  return parts.join("+").toLowerCase();
}

export function typing(target) {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["radio", "checkbox", "range"].includes(target.type))
  );
}

export function decideByKeys(form) {
  if (!form.dataset.keysOn) return;
  const reason = form.querySelector("textarea");
  const does = new Map();

  for (const radio of form.querySelectorAll("input[type=radio]")) {
    does.set(radio.dataset.key.toLowerCase(), () => {
      radio.checked = true;
      radio.focus();
      radio.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
  for (const button of form.querySelectorAll("button[type=submit]")) {
    does.set(button.dataset.key.toLowerCase(), () => form.requestSubmit(button));
  }
  does.set(reason.dataset.key.toLowerCase(), () => reason.focus());
  for (const [key, step] of [[form.dataset.rangeNext, 1], [form.dataset.rangeBefore, -1]]) {
    does.set(key.toLowerCase(), () => document.dispatchEvent(new CustomEvent("walk", { detail: step })));
  }
  for (const [key, step] of [[form.dataset.frameNext, 1], [form.dataset.frameBefore, -1]]) {
    does.set(key.toLowerCase(), () => document.dispatchEvent(new CustomEvent("frame", { detail: step })));
  }
  does.set(form.dataset.playKey.toLowerCase(), () => document.dispatchEvent(new CustomEvent("play")));
  const skip = document.querySelector("[data-skip]");
  if (skip) {
    does.set(skip.querySelector("[data-key-of]").textContent.toLowerCase(), () => skip.requestSubmit());
  }

  document.addEventListener("keydown", (event) => {
    const key = keyOf(event);
    const action = does.get(key);
    // While somebody writes, only keys with Ctrl, Alt or Shift and a name do anything.
    if (!action || event.repeat || (typing(event.target) && !key.includes("+"))) return;
    event.preventDefault();
    action();
  });
}
