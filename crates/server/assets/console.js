// Makes pleasant what works without it: copying, keyboard, a menu that follows.

const copy = document.querySelectorAll("[data-copy]");
for (const button of copy) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const words = button.innerHTML;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.innerHTML = words), 2000);
  });
}
