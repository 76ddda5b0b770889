// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from 'react';
import { useStore } from '../store';
import { liveStatus, STALE_AFTER_MS } from './client';

/** Seconds since the server was last heard, once that is too long; null while the feed is fresh or not in use. */
export function useStaleSeconds(): number | null {
  const status = useStore(liveStatus);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  if (status.state === 'idle' || status.lastSeenMs === 0) return null;
  const age = Date.now() - status.lastSeenMs;
  return age > STALE_AFTER_MS ? Math.round(age / 1000) : null;
}
