// SPDX-License-Identifier: Apache-2.0
// A language for tests (`?pseudo`): 40 % longer, accented, in brackets. What is cut off, glued together or not
// translated at all shows at a glance.

const ACCENTED: Record<string, string> = {
  ...{ a: 'á', b: 'ƀ', c: 'ç', d: 'ð', e: 'é', g: 'ğ', h: 'ĥ', i: 'í', j: 'ĵ', k: 'ķ', l: 'ł', n: 'ñ', o: 'ó' },
  ...{ r: 'ř', s: 'š', t: 'ţ', u: 'ú', w: 'ŵ', y: 'ý', z: 'ž', A: 'Á', C: 'Ç', D: 'Ð', E: 'É', G: 'Ğ', H: 'Ĥ' },
  ...{ I: 'Í', L: 'Ł', N: 'Ñ', O: 'Ó', R: 'Ř', S: 'Š', T: 'Ţ', U: 'Ú', W: 'Ŵ', Y: 'Ý', Z: 'Ž' },
};
const FILLER = 'óñé ţŵó ţĥřéé ƒóúř ƒíʋé šíж šéʋéñ éíğĥţ ñíñé ţéñ '.replaceAll('ж', 'x');

export function pseudo(text: string): string {
  const accented = text
    .split(/(\{\{[^}]*\}\})/)
    .map((part) => (part.startsWith('{{') ? part : part.replace(/[A-Za-z]/g, (letter) => ACCENTED[letter] ?? letter)))
    .join('');
  const wanted = Math.ceil(text.replace(/\{\{[^}]*\}\}/g, '').length * 0.4);
  const filler = FILLER.repeat(Math.ceil(wanted / FILLER.length))
    .slice(0, wanted)
    .trim();
  return `[${accented}${filler ? ` ${filler}` : ''}]`;
}

export function pseudoCatalogue(catalogue: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(catalogue).map(([key, text]) => [key, pseudo(text)]));
}
