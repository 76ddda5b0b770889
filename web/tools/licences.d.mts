// SPDX-License-Identifier: Apache-2.0
export interface ShippedPackage {
  name: string;
  version: string;
  licence: string;
}
export function shippedPackages(): ShippedPackage[];
export function allowed(licence: string): boolean;
export const NOT_BUNDLED: Set<string>;
