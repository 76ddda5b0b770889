// SPDX-License-Identifier: Apache-2.0
// Charts that share one crosshair and one selection: moves go straight from canvas to canvas.

export interface Follower {
  /** Another chart's crosshair, milliseconds; null when it left. */
  follow(timeMs: number | null): void;
  /** What is being marked on another chart. */
  mark(span: readonly [number, number] | null): void;
}

const groups = new Map<string, Set<Follower>>();

export function join(key: string, follower: Follower): () => void {
  const group = groups.get(key) ?? new Set();
  groups.set(key, group);
  group.add(follower);
  return () => {
    group.delete(follower);
    if (group.size === 0) groups.delete(key);
  };
}

export function tell(key: string, from: Follower, what: (follower: Follower) => void): void {
  for (const follower of groups.get(key) ?? []) if (follower !== from) what(follower);
}
