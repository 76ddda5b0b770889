// SPDX-License-Identifier: Apache-2.0
// Half a million metric names, searched outside of the page's thread: the page only ever holds the rows in sight.

export interface NameSlice {
  name: string;
  type: string;
  help: string;
  unit: string;
}

export interface About {
  type: string;
  help: string;
  unit: string;
}

export interface Completions {
  names: string[];
  /** True when these are all names there are: what is typed on can be looked up among them. */
  whole: boolean;
  /** What is known of them, under the name that it was told of, as in the answer of `metadata`. */
  about: Record<string, About[]>;
}

/** `_bucket`, `_sum`, `_count` and `_total` are described under the name of what they are a part of. */
const PART = /_(bucket|sum|count|total)$/;
/** So few are completed on the page itself, by any letters that they hold. */
const FEW_NAMES = 20_000;
const NONE: About = { type: '', help: '', unit: '' };

function parse<T>(text: string): T {
  const answer = JSON.parse(text) as { status?: string; data?: T };
  if (answer.status !== 'success' || answer.data === undefined) throw new Error('The answer is no list.');
  return answer.data;
}

const decode = (bytes: ArrayBuffer | Uint8Array): string => new TextDecoder().decode(bytes);

const HEAD = '{"status":"success","data":[';
const [QUOTE, COMMA, END] = [34, 44, 93];
const PARTS = ['', '_bucket', '_sum', '_count', '_total'];

/** Where each name is in the one text that holds them all: name i is `starts[i]` up to `ends[i]`. */
interface Places {
  starts: Uint32Array;
  ends: Uint32Array;
  count: number;
}

/**
 * The names of an answer where they stand. No string is made for any of them: with half a million that takes longer than
 * all the rest. Null when the answer is not plain (escapes, bytes beyond ASCII, another shape): JSON.parse knows better.
 */
function placesIn(bytes: Uint8Array, text: string): Places | null {
  if (text.length !== bytes.length || !text.startsWith(HEAD) || text.includes('\\')) return null;
  let starts = new Uint32Array(1 << 16);
  let ends = new Uint32Array(1 << 16);
  let count = 0;
  let at = HEAD.length;
  if (bytes[at] === END) return { starts, ends, count };
  for (;;) {
    if (bytes[at] !== QUOTE) return null;
    const close = text.indexOf('"', at + 1);
    if (close < 0) return null;
    if (count === starts.length) {
      const [s, e] = [new Uint32Array(count * 2), new Uint32Array(count * 2)];
      s.set(starts);
      e.set(ends);
      [starts, ends] = [s, e];
    }
    starts[count] = at + 1;
    ends[count++] = close;
    if (bytes[close + 1] === END) return { starts, ends, count };
    if (bytes[close + 1] !== COMMA) return null;
    at = close + 2;
  }
}

export class NameIndex {
  /** All names in one text, and the same in lower case, place for place. */
  private text = '';
  private lower: string | null = null;
  private places: Places = { starts: new Uint32Array(0), ends: new Uint32Array(0), count: 0 };
  private about = new Map<string, About>();
  private found: Int32Array | null = null;
  private lastText = '';
  private lastTypes: readonly string[] = [];

  /** Answer of `label/__name__/values`, in order; returns how many names there are. */
  load(bytes: ArrayBuffer | Uint8Array): number {
    const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
    const text = decode(view);
    const plain = placesIn(view, text);
    if (plain) {
      this.text = text;
      this.places = plain;
    } else this.join(parse<string[]>(text));
    this.lower = null;
    // Whoever filters goes on to see what the filter leaves.
    const [filter, types] = [this.lastText, this.lastTypes];
    this.reset();
    if (filter !== '' || types.length > 0) this.find(filter, types);
    return this.places.count;
  }

  private join(names: string[]): void {
    names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const [starts, ends] = [new Uint32Array(names.length), new Uint32Array(names.length)];
    let at = 0;
    names.forEach((name, i) => {
      starts[i] = at;
      ends[i] = at + name.length;
      at += name.length + 1;
    });
    this.text = names.join('\n');
    this.places = { starts, ends, count: names.length };
  }

  private name(index: number): string {
    return this.text.slice(this.places.starts[index], this.places.ends[index]);
  }

  /** The text in lower case, as long as the text: letters that would change their length stay as they are. */
  private lowered(): string {
    if (this.lower !== null) return this.lower;
    const whole = this.text.toLowerCase();
    this.lower =
      whole.length === this.text.length
        ? whole
        : this.text.replace(/./gsu, (c) => (c.toLowerCase().length === c.length ? c.toLowerCase() : c));
    return this.lower;
  }

  /** Answer of `metadata`; returns how many metrics each type has. */
  describe(bytes: ArrayBuffer | Uint8Array): Record<string, number> {
    this.about = new Map();
    const types: Record<string, number> = {};
    for (const [name, list] of Object.entries(parse<Record<string, About[]>>(decode(bytes)))) {
      const about = list[0];
      if (!about) continue;
      this.about.set(name, about);
      types[about.type] = (types[about.type] ?? 0) + 1;
    }
    this.reset();
    return types;
  }

  private reset(): void {
    this.found = null;
    this.lastText = '';
    this.lastTypes = [];
  }

  private aboutOf(name: string): About {
    return this.about.get(name) ?? this.about.get(name.replace(PART, '')) ?? NONE;
  }

  /** Names that hold every word in their name or description, and are of one of the types. Returns their number. */
  find(text: string, types: readonly string[]): number {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0 && types.length === 0) {
      this.reset();
      return this.places.count;
    }
    // A longer word finds a part of what the shorter one found.
    const narrower = this.found !== null && this.lastTypes.join() === types.join() && text.startsWith(this.lastText);
    const pool = narrower ? (this.found as Int32Array) : this.candidates(words, types);
    const hits = new Int32Array(pool.length);
    let count = 0;
    for (const at of pool) if (this.matches(at, words, types)) hits[count++] = at;
    this.found = hits.slice(0, count);
    this.lastText = text;
    this.lastTypes = types;
    return count;
  }

  /**
   * For completion: all names while they are few, else at most `limit`, those that begin with the text before those that
   * hold it. Does not change what was found.
   */
  complete(text: string, limit: number): Completions {
    const { count } = this.places;
    const word = text.toLowerCase();
    if (count <= FEW_NAMES) return this.completions(this.range(0, count), true);
    if (word === '') return this.completions(this.range(0, limit), false);
    const holding = this.holding(word);
    const begins: number[] = [];
    const others: number[] = [];
    for (const at of holding) {
      const begin = this.lowered().startsWith(word, this.places.starts[at]);
      if (begin) begins.push(at);
      else if (others.length < limit) others.push(at);
      if (begins.length === limit) break;
    }
    const chosen = [...begins, ...others].slice(0, limit);
    return this.completions(
      chosen.map((at) => this.name(at)),
      false,
    );
  }

  private completions(names: string[], whole: boolean): Completions {
    const about: Record<string, About[]> = {};
    if (this.about.size > 0)
      for (const name of names)
        for (const key of [name, name.replace(PART, '')]) {
          const known = this.about.get(key);
          if (known) about[key] = [known];
        }
    return { names, whole, about };
  }

  private range(from: number, to: number): string[] {
    return Array.from({ length: to - from }, (_, k) => this.name(from + k));
  }

  /** All that can match, ascending: names that hold the longest word, or that are described as asked for. */
  private candidates(words: readonly string[], types: readonly string[]): Int32Array {
    if (types.length > 0) return this.described((about) => types.includes(about.type));
    const longest = words.reduce((best, word) => (word.length > best.length ? word : best), '');
    const named = this.holding(longest);
    const told = this.described((about) => about.help.toLowerCase().includes(longest));
    if (told.length === 0) return named;
    const all = new Int32Array(named.length + told.length);
    all.set(named);
    all.set(told, named.length);
    all.sort();
    return all.filter((at, k) => k === 0 || at !== all[k - 1]);
  }

  private holding(word: string): Int32Array {
    const { starts, ends, count } = this.places;
    const text = this.lowered();
    const hits = new Int32Array(count);
    let n = 0;
    let index = 0;
    const first = count > 0 ? (starts[0] as number) : 0;
    for (let at = text.indexOf(word, first); at >= 0 && index < count; at = text.indexOf(word, at)) {
      index = this.nameAt(at, index);
      if (index >= count) break;
      if (at >= (starts[index] as number) && at + word.length <= (ends[index] as number)) {
        hits[n++] = index;
        // The rest of this name says nothing more.
        index += 1;
        if (index < count) at = starts[index] as number;
        else break;
      } else at += 1;
    }
    return hits.slice(0, n);
  }

  /** The name in which this place of the text lies, from `from` on: nearby first, as places come in order. */
  private nameAt(place: number, from: number): number {
    const { ends, count } = this.places;
    let step = 1;
    let high = from;
    while (high < count && (ends[high] as number) <= place) {
      high += step;
      step *= 2;
    }
    let low = Math.max(from, high - step);
    high = Math.min(high, count);
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private described(wanted: (about: About) => boolean): Int32Array {
    const hits: number[] = [];
    for (const [name, about] of this.about)
      if (wanted(about))
        for (const part of PARTS) {
          const at = this.indexOf(name + part);
          if (at >= 0) hits.push(at);
        }
    return Int32Array.from(new Set(hits)).sort();
  }

  private indexOf(name: string): number {
    let low = 0;
    let high = this.places.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.name(middle) < name) low = middle + 1;
      else high = middle;
    }
    return low < this.places.count && this.name(low) === name ? low : -1;
  }

  private matches(at: number, words: readonly string[], types: readonly string[]): boolean {
    const about = this.about.size > 0 ? this.aboutOf(this.name(at)) : NONE;
    if (types.length > 0 && !types.includes(about.type)) return false;
    const lower = this.lowered().slice(this.places.starts[at], this.places.ends[at]);
    let help: string | null = null;
    for (const word of words) {
      if (lower.includes(word)) continue;
      help ??= about.help.toLowerCase();
      if (!help.includes(word)) return false;
    }
    return true;
  }

  /** Rows `from..to` (`to` excluded) of what was found last. */
  slice(from: number, to: number): NameSlice[] {
    const { found } = this;
    const end = Math.min(to, found?.length ?? this.places.count);
    const out: NameSlice[] = [];
    for (let k = Math.max(0, from); k < end; k++) {
      const name = this.name(found ? (found[k] as number) : k);
      const { type, help, unit } = this.aboutOf(name);
      out.push({ name, type, help, unit });
    }
    return out;
  }
}
