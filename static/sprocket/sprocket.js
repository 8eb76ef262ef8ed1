// Small things the pages do beyond plain forms: copy, theme, busy buttons, format checks, following a run.

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const text = document.querySelector(copy.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Select it and copy by hand";
    }
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  }
  if (event.target.closest("[data-theme-switch]")) {
    const root = document.documentElement;
    root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.bsTheme);
  }
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.dataset.busy) {
    button.setAttribute("aria-busy", "true");
    button.textContent = button.dataset.busy;
    setTimeout(() => (button.disabled = true));
  }
  for (const field of event.target.querySelectorAll("[data-csrf]")) field.value = csrfToken();
});

function csrfToken() {
  return document.querySelector("form input[name=csrfmiddlewaretoken][value]:not([data-csrf])")?.value ?? "";
}

document.addEventListener("input", (event) => {
  const pattern = event.target.dataset?.pattern;
  if (!pattern) return;
  const output = document.querySelector(`output[for="${event.target.id}"]`);
  const value = event.target.value;
  output.textContent = !value ? "" : new RegExp(`^(?:${pattern})$`).test(value) ? "looks right" : "does not look right";
});

// A run is followed by a stream. Where that cannot be held open, the page asks every three seconds.
const followed = document.querySelector("[data-follow]");
if (followed) {
  let timer = null;
  const poll = async () => {
    try {
      const answer = await fetch(followed.dataset.poll, { headers: { "HX-Request": "true" } });
      if (answer.ok) followed.innerHTML = await answer.text();
      if (answer.headers.get("HX-Refresh")) location.reload();
    } catch {
      // The next round asks again; leaving the page ends a request in hand, which is no fault.
    }
  };
  document.body.addEventListener("htmx:sseError", () => (timer ??= setInterval(poll, 3000)));
  document.body.addEventListener("htmx:sseOpen", () => {
    clearInterval(timer);
    timer = null;
  });
  document.body.addEventListener("htmx:sseClose", (event) => {
    if (event.detail?.type === "message") location.reload();
  });
}
