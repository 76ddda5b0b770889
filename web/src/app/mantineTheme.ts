// SPDX-License-Identifier: Apache-2.0
import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core';

// Mantine wants ten shades; every colour that is seen comes from tokens.json through the variables below.
const brand: MantineColorsTuple = [
  '#eceefd',
  '#d5d9fa',
  '#b3bbf6',
  '#8e9bff',
  '#7483f2',
  '#5f6fe6',
  '#5463e6',
  '#4453d6',
  '#3644c0',
  '#2c38a3',
];

export const mantineTheme = createTheme({
  fontFamily: 'var(--font-text)',
  fontFamilyMonospace: 'var(--font-mono)',
  primaryColor: 'brand',
  primaryShade: 7,
  colors: { brand },
  defaultRadius: 4,
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Button: { defaultProps: { size: 'xs' } },
    TextInput: { defaultProps: { size: 'sm' } },
    PasswordInput: { defaultProps: { size: 'sm' } },
    Select: { defaultProps: { size: 'sm', allowDeselect: false } },
  },
});

const shared = {
  '--mantine-color-body': 'var(--c-canvas)',
  '--mantine-color-text': 'var(--c-text)',
  '--mantine-color-dimmed': 'var(--c-text-3)',
  '--mantine-color-placeholder': 'var(--c-text-3)',
  '--mantine-color-anchor': 'var(--c-accent)',
  '--mantine-color-error': 'var(--sev-critical)',
  '--mantine-color-default': 'var(--c-raised)',
  '--mantine-color-default-hover': 'var(--c-hover)',
  '--mantine-color-default-color': 'var(--c-text)',
  '--mantine-color-default-border': 'var(--c-line)',
  '--mantine-color-disabled': 'var(--c-inset)',
  '--mantine-color-disabled-color': 'var(--c-text-3)',
  '--mantine-color-disabled-border': 'var(--c-line)',
  '--mantine-primary-color-filled': 'var(--c-accent-fill)',
  '--mantine-primary-color-filled-hover': 'var(--c-accent-fill-hover)',
  '--mantine-color-brand-filled': 'var(--c-accent-fill)',
  '--mantine-color-brand-filled-hover': 'var(--c-accent-fill-hover)',
  '--mantine-color-brand-light': 'var(--c-accent-soft)',
  '--mantine-color-brand-light-hover': 'var(--c-selected)',
  '--mantine-color-brand-light-color': 'var(--c-accent)',
  '--mantine-color-brand-outline': 'var(--c-accent)',
  '--mantine-primary-color-contrast': 'var(--c-on-accent)',
};

// Mantine draws fields from its own grey ramps: point those steps at the tokens.
const dark = {
  ...shared,
  '--mantine-color-dark-4': 'var(--c-line-strong)',
  '--mantine-color-dark-6': 'var(--c-inset)',
};
const light = { ...shared, '--mantine-color-gray-4': 'var(--c-line-strong)' };

export const cssVariables: CSSVariablesResolver = () => ({ variables: {}, dark, light });
