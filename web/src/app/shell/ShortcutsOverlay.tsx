// SPDX-License-Identifier: Apache-2.0
import { useTranslation } from 'react-i18next';
import { Dialog } from '@/shared/ui/Dialog';
import css from './ShortcutsOverlay.module.css';

const GROUPS = [
  {
    key: 'keys.group.go',
    rows: [
      ['g h', 'nav.home'],
      ['g e', 'nav.explore'],
      ['g s', 'nav.hosts'],
      ['g m', 'nav.admin'],
      ['g p', 'nav.profile'],
      ['mod+k', 'palette.open'],
      ['/', 'keys.search'],
      ['?', 'keys.title'],
    ],
  },
  {
    key: 'keys.group.time',
    rows: [
      ['t ←', 'time.back'],
      ['t →', 'time.forward'],
      ['t -', 'time.zoomOut'],
      ['t +', 'time.zoomIn'],
      ['t a', 'time.makeAbsolute'],
      ['t o', 'keys.openTime'],
      ['t s', 'link.moment'],
      ['mod+z', 'time.zoomOut'],
      ['alt+←', 'keys.zoomBack'],
      ['d r', 'refresh.now'],
    ],
  },
  {
    key: 'keys.group.panels',
    rows: [
      ['n', 'keys.nextPanel'],
      ['N', 'keys.previousPanel'],
      ['p x', 'keys.panelExplore'],
      ['d k', 'keys.kiosk'],
      ['← →', 'keys.crosshair'],
      ['↑ ↓', 'keys.seriesMove'],
      ['esc', 'keys.close'],
    ],
  },
  {
    key: 'keys.group.editor',
    rows: [
      ['shift+enter', 'keys.run'],
      ['mod+space', 'keys.complete'],
      ['alt+shift+f', 'keys.format'],
    ],
  },
] as const;

const MAC = /mac|iphone|ipad/i.test(navigator.platform);

export default function ShortcutsOverlay({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const show = (key: string) =>
    key
      .replace('mod', MAC ? '⌘' : 'Ctrl')
      .replace('alt', 'Alt')
      .replace('shift', 'Shift')
      .replace('enter', 'Enter')
      .replace('space', 'Space')
      .replace('esc', 'Esc');
  return (
    <Dialog title={t('keys.title')} size="md" onClose={onClose}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <section className={css.body} tabIndex={0} aria-label={t('keys.title')}>
        {GROUPS.map((group) => (
          <section key={group.key}>
            <h3>{t(group.key)}</h3>
            <dl className={css.rows}>
              {group.rows.map(([keys, label]) => (
                <div key={`${keys}${label}`}>
                  <dt>{t(label)}</dt>
                  <dd>
                    {show(keys)
                      .split(' ')
                      .map((key) => (
                        <kbd key={key}>{key}</kbd>
                      ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <p className={css.note}>{t('keys.note')}</p>
      </section>
    </Dialog>
  );
}
