// SPDX-License-Identifier: Apache-2.0
// What the charts of a machine ask for. Names are node_exporter's; the built-in agent publishes the same.
import type { TFunction } from 'i18next';
import type { Labels } from '../api/prom';
import type { ChartMode } from '../charts/options';
import type { PanelQuery } from '../charts/usePanelSource';
import type { Unit } from '../units/format';

export interface HostPanel {
  id: string;
  title: string;
  unit: Unit;
  mode: ChartMode;
  min?: number;
  max?: number;
  queries: PanelQuery[];
}

/** Job label of machine metrics. */
export const NODE_JOB = 'node';
const FILESYSTEMS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|devtmpfs|nsfs|autofs|proc|sysfs|cgroup.*"';
const DISKS = 'device!~"loop.*|ram.*|fd.*|sr.*"';
const INTERFACES = 'device!~"lo|veth.*|br-.*|docker.*|cni.*|flannel.*"';

/** From what a person looks at first to what is hardly ever there. */
const CPU_MODES = ['user', 'system', 'iowait', 'steal', 'nice', 'softirq', 'irq'];

function quote(value: string): string {
  return JSON.stringify(value);
}

/** Panels of one machine; `window` is the rate window, which must cover a few scrapes. */
export function hostPanels(instance: string, window: string, t: TFunction<'common'>): Record<HostPanelName, HostPanel> {
  const host = `job="${NODE_JOB}",instance=${quote(instance)}`;
  const named = (key: string, expr: string, text: string): PanelQuery => ({ key, expr, name: () => text });
  const by = (key: string, expr: string, label: string, suffix = ''): PanelQuery => ({
    key,
    expr,
    name: (labels: Labels) => `${labels[label] ?? ''}${suffix}`,
  });
  const rate = (metric: string, extra = '') => `rate(${metric}{${host}${extra ? `,${extra}` : ''}}[${window}])`;
  const gauge = (metric: string, extra = '') => `${metric}{${host}${extra ? `,${extra}` : ''}}`;
  const read = ` ${t('host.read')}`;
  const write = ` ${t('host.write')}`;
  const receive = ` ${t('host.receive')}`;
  const transmit = ` ${t('host.transmit')}`;
  return {
    cpu: {
      id: 'cpu',
      title: t('host.cpu'),
      unit: 'percentunit',
      mode: 'stack',
      min: 0,
      max: 1,
      queries: [
        {
          ...by('cpu', `avg by (mode) (${rate('node_cpu_seconds_total', 'mode!="idle"')})`, 'mode'),
          rank: (labels) => CPU_MODES.indexOf(labels.mode ?? '') + 1 || CPU_MODES.length + 1,
        },
      ],
    },
    load: {
      id: 'load',
      title: t('host.load'),
      unit: 'short',
      mode: 'line',
      min: 0,
      queries: [
        named('load1', gauge('node_load1'), t('host.load1')),
        named('load5', gauge('node_load5'), t('host.load5')),
        named('load15', gauge('node_load15'), t('host.load15')),
      ],
    },
    memory: {
      id: 'memory',
      title: t('host.memory'),
      unit: 'bytes',
      mode: 'stack',
      min: 0,
      queries: [
        named(
          'used',
          `${gauge('node_memory_MemTotal_bytes')} - ${gauge('node_memory_MemAvailable_bytes')}`,
          t('host.memoryUsed'),
        ),
        named(
          'cache',
          `${gauge('node_memory_MemAvailable_bytes')} - ${gauge('node_memory_MemFree_bytes')}`,
          t('host.memoryCache'),
        ),
        { ...named('free', gauge('node_memory_MemFree_bytes'), t('host.memoryFree')), rest: true },
      ],
    },
    swap: {
      id: 'swap',
      title: t('host.swap'),
      unit: 'bytes',
      mode: 'area',
      min: 0,
      queries: [
        named(
          'swap',
          `${gauge('node_memory_SwapTotal_bytes')} - ${gauge('node_memory_SwapFree_bytes')}`,
          t('host.swapUsed'),
        ),
      ],
    },
    diskIo: {
      id: 'diskio',
      title: t('host.diskIo'),
      unit: 'bytesPerSecond',
      mode: 'line',
      min: 0,
      queries: [
        by('read', rate('node_disk_read_bytes_total', DISKS), 'device', read),
        by('write', rate('node_disk_written_bytes_total', DISKS), 'device', write),
      ],
    },
    diskBusy: {
      id: 'diskbusy',
      title: t('host.diskBusy'),
      unit: 'percentunit',
      mode: 'line',
      min: 0,
      queries: [by('busy', rate('node_disk_io_time_seconds_total', DISKS), 'device')],
    },
    diskSpace: {
      id: 'diskspace',
      title: t('host.diskSpace'),
      unit: 'percentunit',
      mode: 'line',
      min: 0,
      max: 1,
      queries: [
        by(
          'space',
          `max by (mountpoint) (1 - ${gauge('node_filesystem_avail_bytes', FILESYSTEMS)} / ${gauge('node_filesystem_size_bytes', FILESYSTEMS)})`,
          'mountpoint',
        ),
      ],
    },
    inodes: {
      id: 'inodes',
      title: t('host.inodes'),
      unit: 'percentunit',
      mode: 'line',
      min: 0,
      max: 1,
      queries: [
        by(
          'inodes',
          `max by (mountpoint) (1 - ${gauge('node_filesystem_files_free', FILESYSTEMS)} / ${gauge('node_filesystem_files', FILESYSTEMS)})`,
          'mountpoint',
        ),
      ],
    },
    network: {
      id: 'network',
      title: t('host.network'),
      unit: 'bytesPerSecond',
      mode: 'line',
      min: 0,
      queries: [
        by('rx', rate('node_network_receive_bytes_total', INTERFACES), 'device', receive),
        by('tx', rate('node_network_transmit_bytes_total', INTERFACES), 'device', transmit),
      ],
    },
    networkErrors: {
      id: 'neterrors',
      title: t('host.networkErrors'),
      unit: 'perSecond',
      mode: 'line',
      min: 0,
      queries: [
        by(
          'rxe',
          `${rate('node_network_receive_errs_total', INTERFACES)} + ${rate('node_network_receive_drop_total', INTERFACES)}`,
          'device',
          receive,
        ),
        by(
          'txe',
          `${rate('node_network_transmit_errs_total', INTERFACES)} + ${rate('node_network_transmit_drop_total', INTERFACES)}`,
          'device',
          transmit,
        ),
      ],
    },
    switches: {
      id: 'switches',
      title: t('host.switches'),
      unit: 'perSecond',
      mode: 'line',
      min: 0,
      queries: [
        named('ctx', rate('node_context_switches_total'), t('host.contextSwitches')),
        named('intr', rate('node_intr_total'), t('host.interrupts')),
      ],
    },
    processes: {
      id: 'processes',
      title: t('host.processes'),
      unit: 'count',
      mode: 'line',
      min: 0,
      queries: [
        named('running', gauge('node_procs_running'), t('host.running')),
        named('blocked', gauge('node_procs_blocked'), t('host.blocked')),
      ],
    },
  };
}

export type HostPanelName =
  | 'cpu'
  | 'load'
  | 'memory'
  | 'swap'
  | 'diskIo'
  | 'diskBusy'
  | 'diskSpace'
  | 'inodes'
  | 'network'
  | 'networkErrors'
  | 'switches'
  | 'processes';
