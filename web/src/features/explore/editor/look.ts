// SPDX-License-Identifier: Apache-2.0
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';

/** Everything from tokens, so that both themes hold; CodeMirror's own colours are for a white page. */
export const editorLook = [
  EditorView.theme({
    '&': { fontSize: '13px', backgroundColor: 'var(--c-inset)', color: 'var(--c-text)', borderRadius: 'var(--radius)' },
    '&.cm-focused': { outline: '2px solid var(--c-focus)', outlineOffset: '-1px' },
    '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '20px', maxHeight: '220px', overflow: 'auto' },
    '.cm-content': { padding: '6px 0', caretColor: 'var(--c-text)' },
    '.cm-line': { padding: '0 10px' },
    '.cm-cursor': { borderInlineStartColor: 'var(--c-text)' },
    '.cm-placeholder': { color: 'var(--c-text-3)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
      background: 'var(--c-selected)',
    },
    '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { background: 'var(--c-selected)', outline: 'none' },
    '.cm-nonmatchingBracket': { color: 'var(--sev-critical)' },
    '.cm-tooltip': {
      background: 'var(--c-raised)',
      color: 'var(--c-text)',
      border: '1px solid var(--c-line)',
      borderRadius: '6px',
      boxShadow: 'var(--k-shadow)',
      fontSize: '12px',
    },
    '.cm-tooltip.cm-tooltip-autocomplete > ul': {
      fontFamily: 'var(--font-mono)',
      maxHeight: '260px',
      minWidth: '260px',
    },
    '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px', lineHeight: '18px' },
    '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': {
      background: 'var(--c-selected)',
      color: 'var(--c-text)',
    },
    '.cm-completionMatchedText': { textDecoration: 'none', color: 'var(--c-accent)', fontWeight: '600' },
    '.cm-completionDetail': { color: 'var(--c-text-2)', fontStyle: 'normal', marginInlineStart: '12px' },
    '.cm-completionInfo': {
      padding: '8px 10px',
      maxWidth: '420px',
      lineHeight: '18px',
      fontFamily: 'var(--font-text)',
    },
    '.cm-tooltip-hover': { padding: '0' },
    '.cm-hoverDoc': { padding: '8px 10px', maxWidth: '460px', lineHeight: '18px' },
    '.cm-hoverDoc b': { fontFamily: 'var(--font-mono)' },
    '.cm-hoverDoc p': { color: 'var(--c-text-2)' },
    '.cm-diagnostic': { padding: '5px 10px', borderInlineStartWidth: '3px' },
    '.cm-diagnostic-error': { borderInlineStartColor: 'var(--sev-critical)' },
    '.cm-lintRange-error': {
      backgroundImage: 'none',
      textDecoration: 'underline wavy var(--sev-critical)',
      textUnderlineOffset: '4px',
    },
    '.cm-lintPoint-error:after': { borderBottomColor: 'var(--sev-critical)' },
  }),
  syntaxHighlighting(
    HighlightStyle.define([
      { tag: [tags.function(tags.variableName), tags.standard(tags.name)], color: 'var(--k-syntax-function)' },
      { tag: tags.labelName, color: 'var(--k-syntax-label)' },
      { tag: tags.string, color: 'var(--k-syntax-string)' },
      { tag: [tags.number, tags.bool], color: 'var(--k-syntax-number)' },
      { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: 'var(--k-syntax-keyword)' },
      { tag: tags.comment, color: 'var(--k-syntax-comment)', fontStyle: 'italic' },
      { tag: tags.invalid, color: 'var(--sev-critical)' },
    ]),
  ),
];
