// SPDX-License-Identifier: Apache-2.0

/** Only paths of ours: a link must not send people elsewhere after signing in. */
export function safeNext(next: string | null): string {
  if (!next?.startsWith('/') || next.startsWith('//') || next.includes('\\')) return '/';
  return next;
}
