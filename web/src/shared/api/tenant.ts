// SPDX-License-Identifier: Apache-2.0
import { boot } from './boot';

const KEY = 'tocayo.tenant';

function stored(): string | null {
  try {
    const value = localStorage.getItem(KEY);
    return value && boot.tenants.includes(value) ? value : null;
  } catch {
    return null;
  }
}

let tenant = stored() ?? boot.tenant;

/** Sent as X-Scope-OrgID; empty when the server works with one tenant only. */
export function currentTenant(): string {
  return tenant;
}

export function chooseTenant(name: string): void {
  tenant = name;
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // Private mode: the choice lasts as long as the page.
  }
  location.reload();
}
