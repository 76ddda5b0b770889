// SPDX-License-Identifier: Apache-2.0
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { HomeData } from '@/shared/api/home';
import { StatTile } from '@/shared/charts/StatTile';
import { formatDuration } from '@/shared/time/format';
import type { TimeControls } from '@/shared/time/useTime';
import { Panel } from '@/shared/ui/Panel';
import css from './HomePage.module.css';
import { SELF_TILES, type SelfTile } from './selfQueries';

export function SelfTiles({ time, home }: { time: TimeControls; home: HomeData }) {
  const { t } = useTranslation('home');
  return (
    <Panel
      title={t('self.title')}
      aside={t('self.aside', { version: home.self.version, age: formatDuration(home.self.uptimeSeconds) })}
      flush
    >
      <div className={css.tiles}>
        {SELF_TILES.map((tile, index) => (
          <Tile key={tile.id} tile={tile} index={index} time={time} />
        ))}
      </div>
    </Panel>
  );
}

function Tile({ tile, index, time }: { tile: SelfTile; index: number; time: TimeControls }) {
  const { t } = useTranslation('home');
  const queries = useMemo(() => [{ key: tile.id, expr: tile.expr, name: () => tile.id }], [tile]);
  return <StatTile label={t(`self.${tile.id}`)} queries={queries} unit={tile.unit} time={time} slot={index} />;
}
