// SPDX-License-Identifier: Apache-2.0
declare module 'virtual:tokens.css';
declare module 'virtual:licences.json' {
  const packages: { name: string; version: string; licence: string }[];
  export default packages;
}
