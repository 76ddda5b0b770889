// SPDX-License-Identifier: Apache-2.0
import type admin from '../../features/admin/i18n/en.json';
import type auth from '../../features/auth/i18n/en.json';
import type explore from '../../features/explore/i18n/en.json';
import type home from '../../features/home/i18n/en.json';
import type hosts from '../../features/hosts/i18n/en.json';
import type profile from '../../features/profile/i18n/en.json';
import type common from './catalogue/en.json';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common';
    keySeparator: false;
    resources: {
      common: typeof common;
      admin: typeof admin;
      auth: typeof auth;
      explore: typeof explore;
      home: typeof home;
      hosts: typeof hosts;
      profile: typeof profile;
    };
  }
}
