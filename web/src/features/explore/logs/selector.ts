// SPDX-License-Identifier: Apache-2.0

/** `{a="1", b="2"}`, which means the same to PromQL and LogQL. */
export function selectorOf(labels: Record<string, string>): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((key) => `${key}=${JSON.stringify(labels[key])}`);
  return `{${pairs.join(', ')}}`;
}
