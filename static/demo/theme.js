// Runs before the first paint: the visitor's last choice, or what the system prefers.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? system;
})();
