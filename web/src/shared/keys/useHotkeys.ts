// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef } from 'react';
import { bind } from './hotkeys';

/** Binds a set of sequences while the component is mounted; the newest binding of a key wins. */
export function useHotkeys(map: Record<string, () => void>): void {
  const latest = useRef(map);
  latest.current = map;
  const keys = Object.keys(map).join('\n');
  useEffect(() => {
    const undo = keys.split('\n').map((key) => bind(key, () => latest.current[key]?.()));
    return () => {
      for (const off of undo) off();
    };
  }, [keys]);
}
