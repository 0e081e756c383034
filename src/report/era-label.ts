// SPDX-License-Identifier: GPL-2.0-only
import type { ReportEra } from '../replay/report-eras.ts';

/** An era by name; one that never was a kernel says so wherever it is named. */
export const eraLabel = (eras: readonly ReportEra[], id: string): string =>
  isProposed(eras, id) ? `${id} (proposed)` : id;

/** The same where there is room for all of it. */
export const eraName = (eras: readonly ReportEra[], id: string): string =>
  isProposed(eras, id) ? `${id} (proposed, never merged)` : id;

const isProposed = (eras: readonly ReportEra[], id: string): boolean =>
  eras.find((era) => era.id === id)?.status === 'proposed';
