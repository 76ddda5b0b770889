-- SPDX-License-Identifier: Apache-2.0
ALTER TABLE account_settings ADD COLUMN density TEXT NOT NULL DEFAULT '';
