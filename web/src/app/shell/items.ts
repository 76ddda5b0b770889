// SPDX-License-Identifier: Apache-2.0
import { IconCompass, IconHome, IconServer2, IconSettings, IconUserCircle } from '@tabler/icons-react';

/** Areas that exist. Vocabulary and routes are frozen: links and muscle memory hang on them. */
export const NAV_ITEMS = [
  { to: '/', key: 'nav.home', icon: IconHome, keys: 'g h', exact: true },
  { to: '/explore', key: 'nav.explore', icon: IconCompass, keys: 'g e', exact: false },
  { to: '/hosts', key: 'nav.hosts', icon: IconServer2, keys: 'g s', exact: false },
] as const;

export const FOOT_ITEMS = [
  { to: '/admin', key: 'nav.admin', icon: IconSettings, keys: 'g m', exact: false },
  { to: '/me', key: 'nav.profile', icon: IconUserCircle, keys: 'g p', exact: false },
] as const;
