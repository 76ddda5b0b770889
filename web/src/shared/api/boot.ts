// SPDX-License-Identifier: Apache-2.0
// What the server wrote into index.html for this request: who is asking, where we are mounted, which build this is.

export type Role = 'admin' | 'editor' | 'viewer';

export interface User {
  id: number;
  login: string;
  name: string;
  role: Role;
  instanceAdmin: boolean;
  /** What this person chose, as `/api/ui/me` says it; absent fields are not chosen. */
  prefs?: object;
}

export interface Boot {
  product: string;
  version: string;
  revision: string;
  promVersion: string;
  basePath: string;
  authMode: 'off' | 'required';
  user: User | null;
  tenant: string;
  tenants: string[];
  csrfHeader: string;
  hostname: string;
  startTimeMs: number;
}

const FALLBACK: Boot = {
  product: 'Tocayo',
  version: '',
  revision: '',
  promVersion: '',
  basePath: '',
  authMode: 'off',
  user: null,
  tenant: 'anonymous',
  tenants: [],
  csrfHeader: 'X-Tocayo-Csrf',
  hostname: '',
  startTimeMs: 0,
};

export function parseBoot(text: string | null | undefined): Boot {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return value && typeof value === 'object' ? { ...FALLBACK, ...(value as Partial<Boot>) } : FALLBACK;
  } catch {
    return FALLBACK;
  }
}

export const boot: Boot = parseBoot(document.getElementById('boot')?.textContent);

export const cspNonce: string = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';

/** Absolute path on this origin for a path of ours ("/api/…"), below the base path. */
export function withBase(path: string): string {
  return `${boot.basePath}${path.startsWith('/') ? path : `/${path}`}`;
}
