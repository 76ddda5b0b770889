// SPDX-License-Identifier: Apache-2.0
// Half a million metric names, searched outside of the page's thread: the page only ever holds the rows in sight.

export interface NameSlice {
  name: string;
  type: string;
  help: string;
  unit: string;
}

interface About {
  type: string;
  help: string;
  unit: string;
}

/** `_bucket`, `_sum`, `_count` and `_total` are described under the name of what they are a part of. */
const PART = /_(bucket|sum|count|total)$/;
const NONE: About = { type: '', help: '', unit: '' };

function parse<T>(bytes: ArrayBuffer | Uint8Array): T {
  const answer = JSON.parse(new TextDecoder().decode(bytes)) as { status?: string; data?: T };
  if (answer.status !== 'success' || answer.data === undefined) throw new Error('The answer is no list.');
  return answer.data;
}

export class NameIndex {
  private names: string[] = [];
  private lower: string[] | null = null;
  private about = new Map<string, About>();
  private found: Int32Array | null = null;
  private lastText = '';
  private lastTypes = '';

  /** Answer of `label/__name__/values`; returns how many names there are. */
  load(bytes: ArrayBuffer | Uint8Array): number {
    this.names = parse<string[]>(bytes);
    this.lower = null;
    this.reset();
    return this.names.length;
  }

  /** Answer of `metadata`; returns how many metrics each type has. */
  describe(bytes: ArrayBuffer | Uint8Array): Record<string, number> {
    this.about = new Map();
    const types: Record<string, number> = {};
    for (const [name, list] of Object.entries(parse<Record<string, About[]>>(bytes))) {
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
    this.lastTypes = '';
  }

  private aboutOf(name: string): About {
    return this.about.get(name) ?? this.about.get(name.replace(PART, '')) ?? NONE;
  }

  /** Names that hold every word in their name or description, and are of one of the types. Returns their number. */
  find(text: string, types: readonly string[]): number {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const typeKey = types.join();
    if (words.length === 0 && types.length === 0) {
      this.reset();
      return this.names.length;
    }
    this.lower ??= this.names.map((n) => n.toLowerCase());
    const { lower } = this;
    // A longer word finds a part of what the shorter one found.
    const narrower = this.found !== null && this.lastTypes === typeKey && text.startsWith(this.lastText);
    const pool = narrower ? (this.found as Int32Array) : null;
    const length = pool?.length ?? this.names.length;
    const hits = new Int32Array(length);
    let count = 0;
    for (let i = 0; i < length; i++) {
      const at = pool ? (pool[i] as number) : i;
      const name = lower[at] as string;
      const about = types.length > 0 ? this.aboutOf(this.names[at] as string) : null;
      if (about && !types.includes(about.type)) continue;
      if (this.matches(name, at, words)) hits[count++] = at;
    }
    this.found = hits.slice(0, count);
    this.lastText = text;
    this.lastTypes = typeKey;
    return count;
  }

  private matches(lower: string, at: number, words: readonly string[]): boolean {
    let help: string | null = null;
    for (const word of words) {
      if (lower.includes(word)) continue;
      help ??= this.aboutOf(this.names[at] as string).help.toLowerCase();
      if (!help.includes(word)) return false;
    }
    return true;
  }

  /** Rows `from..to` (`to` excluded) of what was found last. */
  slice(from: number, to: number): NameSlice[] {
    const { found } = this;
    const end = Math.min(to, found?.length ?? this.names.length);
    const out: NameSlice[] = [];
    for (let k = Math.max(0, from); k < end; k++) {
      const name = this.names[found ? (found[k] as number) : k] as string;
      const { type, help, unit } = this.aboutOf(name);
      out.push({ name, type, help, unit });
    }
    return out;
  }
}
