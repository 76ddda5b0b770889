// SPDX-License-Identifier: Apache-2.0
import { Outlet } from '@tanstack/react-router';

export function RootLayout() {
  return (
    <>
      <Outlet />
      <div id="announcer" className="sr-only" aria-live="polite" />
    </>
  );
}
