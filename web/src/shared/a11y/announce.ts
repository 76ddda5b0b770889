// SPDX-License-Identifier: Apache-2.0
// One polite live region for the page; messages that come too fast replace each other.

let timer: ReturnType<typeof setTimeout> | undefined;

export function announce(message: string): void {
  const region = document.getElementById('announcer');
  if (!region) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    region.textContent = message;
  }, 150);
}
