// SPDX-License-Identifier: Apache-2.0
// Addresses that are too long for proxies, chats and logs are kept by the server under a short name.
import { boot } from '@/shared/api/boot';
import { request } from '@/shared/api/request';
import { stringifySearch } from '@/shared/url/search';

export const LONGEST_LINK = 8000;

/** Path of Explore's state below the base path. */
export function explorePath(search: Record<string, unknown>): string {
  return `explore${stringifySearch(search)}`;
}

/** `/goto/<uid>` of a state that is too long for an address; null for all others. */
export async function shortPath(search: Record<string, unknown>): Promise<string | null> {
  const path = explorePath(search);
  if (path.length <= LONGEST_LINK) return null;
  const { uid } = await request<{ uid: string }>('/api/short-urls', { method: 'POST', json: { path } });
  return `/goto/${encodeURIComponent(uid)}`;
}

/** A whole link to this state, to hand on. */
export async function linkTo(search: Record<string, unknown>): Promise<string> {
  const short = await shortPath(search);
  return `${location.origin}${boot.basePath}${short ?? `/${explorePath(search)}`}`;
}
