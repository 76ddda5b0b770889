// SPDX-License-Identifier: Apache-2.0
import { LanguageSupport, LRLanguage } from '@codemirror/language';
import { parser } from '@grafana/lezer-logql';
import { styleTags, tags } from '@lezer/highlight';
import { completeLogQl } from './logCompletion';
import { type EditorLanguage, QueryEditor, type QueryEditorProps } from './QueryEditor';

/** The grammar comes without colours: these are the ones of the PromQL editor. */
const logql = LRLanguage.define({
  name: 'logql',
  parser: parser.configure({
    props: [
      styleTags({
        'Matcher/Identifier NumberFilter/Identifier Labels/Identifier UnwrapExpr/Identifier': tags.labelName,
        Identifier: tags.labelName,
        'VectorOp/... RangeOp/...': tags.function(tags.variableName),
        'Json Logfmt Unpack Pattern Regexp Unwrap LabelFormat LineFormat Decolorize Drop Keep': tags.keyword,
        'By Without And Or Unless On Ignoring GroupLeft GroupRight Bool Offset Ip': tags.operatorKeyword,
        'LabelReplace Vector': tags.function(tags.variableName),
        String: tags.string,
        'Number Duration Bytes Range/...': tags.number,
        LineComment: tags.comment,
      }),
    ],
  }),
  languageData: { closeBrackets: { brackets: ['(', '[', '{', "'", '"', '`'] }, commentTokens: { line: '#' } },
});

const logLanguage: EditorLanguage = {
  create: () => ({
    extension: new LanguageSupport(logql, [logql.data.of({ autocomplete: completeLogQl })]),
    destroy: () => undefined,
  }),
  // The server's grammar is ahead of this one: only the server calls a query wrong.
  diagnose: () => [],
};

export default function LogEditor(props: QueryEditorProps) {
  return <QueryEditor {...props} language={logLanguage} />;
}
