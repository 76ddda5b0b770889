// SPDX-License-Identifier: Apache-2.0
// A query editor for tests that are not about editing: a text field with the same keys.

interface Props {
  value: string;
  label: string;
  problem: { message: string } | null;
  onChange: (value: string) => void;
  onRun: () => void;
  onFormat: () => void;
}

export default function PlainEditor({ value, label, problem, onChange, onRun, onFormat }: Props) {
  return (
    <textarea
      aria-label={label}
      aria-invalid={problem !== null}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.shiftKey && event.key === 'Enter') onRun();
        if (event.altKey && event.shiftKey && event.key === 'f') onFormat();
      }}
    />
  );
}
