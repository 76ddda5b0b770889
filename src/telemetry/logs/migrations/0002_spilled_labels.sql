-- SPDX-License-Identifier: Apache-2.0
-- Labels with very many values: new streams leave them to their rows.
CREATE TABLE log_spilled_label (
  tenant TEXT NOT NULL,
  label TEXT NOT NULL,
  since BIGINT NOT NULL,
  PRIMARY KEY (tenant, label)
);
