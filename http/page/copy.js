// Buttons that copy what an element says: <button data-copy="its id">.

// Without a secure context (plain HTTP to another machine) there is no clipboard to write to.
async function copy(button) {
  const from = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(from.textContent);
  } catch {
    getSelection().selectAllChildren(from);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

export function prepareCopying() {
  for (const button of document.querySelectorAll("[data-copy]"))
    button.addEventListener("click", () => copy(button));
}
