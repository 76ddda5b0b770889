// SPDX-License-Identifier: Apache-2.0
// Lines as they arrive, over the server's tail socket. A pause keeps what arrives aside; nothing is lost but what the
// server says it dropped and what passes the most that the page holds.
import { useEffect, useRef, useState } from 'react';
import { nsOf, tailUrl } from './api';
import { joinLines, type LogLine, linesOf, type Stream } from './lines';

const MOST_LINES = 5000;
const BACKLOG = 100;
const BACKLOG_MS = 60 * 60_000;
const SHORTEST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 15_000;
/** Lines are drawn at most this often. */
const DRAW_MS = 200;

export interface Tail {
  /** Oldest first. */
  lines: readonly LogLine[];
  state: 'connecting' | 'open' | 'waiting';
  paused: boolean;
  /** Lines that came during the pause. */
  waiting: number;
  /** Lines that the server left out because the page was too slow. */
  dropped: number;
  setPaused: (paused: boolean) => void;
}

interface Message {
  streams?: Stream[] | null;
  dropped_entries?: unknown[] | null;
}

export function useTail(query: string, enabled: boolean): Tail {
  const [lines, setLines] = useState<readonly LogLine[]>([]);
  const [state, setState] = useState<Tail['state']>('connecting');
  const [paused, setPausedState] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [dropped, setDropped] = useState(0);
  const pausedNow = useRef(false);
  const aside = useRef<LogLine[]>([]);
  const draw = useRef<() => void>(() => undefined);

  useEffect(() => {
    if (!enabled || query === '') return;
    let socket: WebSocket | null = null;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wait = SHORTEST_RETRY_MS;
    let since = nsOf(Date.now() - BACKLOG_MS);
    let over = false;
    aside.current = [];
    setLines([]);
    setDropped(0);
    setWaiting(0);
    pausedNow.current = false;
    setPausedState(false);

    const flush = () => {
      timer = undefined;
      if (pausedNow.current) {
        setWaiting(aside.current.length);
        return;
      }
      const fresh = aside.current;
      aside.current = [];
      setWaiting(0);
      if (fresh.length > 0) setLines((held) => joinLines([held, fresh]).slice(-MOST_LINES));
    };
    draw.current = flush;
    const receive = (event: MessageEvent<string>) => {
      const message = JSON.parse(event.data) as Message;
      const fresh = linesOf(message.streams ?? []);
      since = fresh.at(-1)?.ns ?? since;
      if (message.dropped_entries?.length) setDropped((n) => n + (message.dropped_entries?.length ?? 0));
      aside.current = [...aside.current, ...fresh].slice(-MOST_LINES);
      timer ??= setTimeout(flush, DRAW_MS);
    };
    const connect = () => {
      setState('connecting');
      // After a break the last instant is asked for again: lines are told apart by their keys.
      socket = new WebSocket(tailUrl(query, since, BACKLOG));
      socket.onopen = () => {
        wait = SHORTEST_RETRY_MS;
        setState('open');
      };
      socket.onmessage = receive;
      socket.onclose = () => {
        if (over) return;
        setState('waiting');
        retry = setTimeout(connect, wait * (0.75 + Math.random() / 2));
        wait = Math.min(LONGEST_RETRY_MS, wait * 2);
      };
    };
    connect();
    return () => {
      over = true;
      clearTimeout(retry);
      clearTimeout(timer);
      socket?.close();
    };
  }, [query, enabled]);

  const setPaused = (next: boolean) => {
    pausedNow.current = next;
    setPausedState(next);
    if (!next) draw.current();
  };
  return { lines, state, paused, waiting, dropped, setPaused };
}
