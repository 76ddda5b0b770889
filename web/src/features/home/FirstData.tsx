// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import { withBase } from '@/shared/api/boot';
import { CopyButton } from '@/shared/ui/CopyButton';
import { Panel } from '@/shared/ui/Panel';
import css from './HomePage.module.css';

/** Before the first sample: three ways to send one. The page turns live by itself when it arrives. */
export function FirstData() {
  const { t } = useTranslation('home');
  const origin = `${location.origin}${withBase('')}`.replace(/\/$/, '');
  const snippets = [
    { id: 'agent', text: 'tocayo serve --set agent.enabled=true' },
    { id: 'remoteWrite', text: `remote_write:\n  - url: ${origin}/api/v1/write` },
    {
      id: 'alloy',
      text: `prometheus.remote_write "tocayo" {\n  endpoint {\n    url = "${origin}/api/v1/write"\n  }\n}`,
    },
  ] as const;
  return (
    <>
      <p className={css.intro} role="status">
        <span className={css.dot} data-live="" aria-hidden />
        {t('first.waiting')}
      </p>
      <div className={css.first}>
        {snippets.map((snippet) => (
          <Panel
            key={snippet.id}
            title={t(`first.${snippet.id}`)}
            actions={<CopyButton value={snippet.text} label={t('first.copy', { what: t(`first.${snippet.id}`) })} />}
          >
            <div className={css.snippet}>
              <p>{t(`first.${snippet.id}Text`)}</p>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
              <pre tabIndex={0}>{snippet.text}</pre>
            </div>
          </Panel>
        ))}
      </div>
    </>
  );
}
