// SPDX-License-Identifier: Apache-2.0
import './styles';
import { type MantineColorSchemeManager, MantineProvider } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { cspNonce } from '@/shared/api/boot';
import { startI18n } from '@/shared/i18n';
import { handleKey } from '@/shared/keys/hotkeys';
import { useStore } from '@/shared/store';
import { mantineScheme, scheme, startTheme } from '@/shared/theme';
import { watchVitals } from '@/shared/vitals';
import { cssVariables, mantineTheme } from './mantineTheme';
import { queryClient } from './queryClient';
import { registerWorker } from './registerWorker';
import { router } from './router';

/** The scheme is ours; without a manager of its own Mantine would set its default for a moment at start. */
const schemeManager: MantineColorSchemeManager = {
  get: () => mantineScheme(scheme.get()),
  set: () => undefined,
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  clear: () => undefined,
};

function Root() {
  const active = useStore(scheme);
  return (
    <MantineProvider
      theme={mantineTheme}
      cssVariablesResolver={cssVariables}
      forceColorScheme={mantineScheme(active)}
      colorSchemeManager={schemeManager}
      getStyleNonce={() => cspNonce}
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}

startTheme();
window.addEventListener('keydown', handleKey);
await startI18n();

const container = document.getElementById('root');
if (!container) throw new Error('index.html has no #root');
createRoot(container).render(
  <StrictMode>
    <Root />
  </StrictMode>,
);
registerWorker();
watchVitals();
