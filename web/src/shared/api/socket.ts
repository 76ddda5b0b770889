// SPDX-License-Identifier: Apache-2.0
import { withBase } from './boot';
import { currentTenant } from './tenant';

/** Address of a WebSocket of this server. A page cannot give a socket a header: the tenant goes into the address. */
export function socketUrl(path: string, params: Record<string, string> = {}): URL {
  const url = new URL(withBase(path), location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const tenant = currentTenant();
  url.search = new URLSearchParams(tenant ? { ...params, tenant } : params).toString();
  return url;
}
