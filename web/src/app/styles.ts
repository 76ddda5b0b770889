// SPDX-License-Identifier: Apache-2.0
// Order matters: Mantine's base, our tokens, our own rules. Mantine's component styles come in one by one.
import '@mantine/core/styles/baseline.css';
import '@mantine/core/styles/default-css-variables.css';
import '@mantine/core/styles/global.css';
import '@mantine/core/styles/UnstyledButton.css';
import '@mantine/core/styles/Button.css';
import '@mantine/core/styles/Loader.css';
import 'virtual:tokens.css';
import './fonts.css';
import './global.css';
