// SPDX-License-Identifier: Apache-2.0
import { configure } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

// A busy machine takes longer than the usual second.
configure({ asyncUtilTimeout: 15_000 });

afterEach(() => {
  document.body.replaceChildren();
  localStorage.clear();
  vi.restoreAllMocks();
});
