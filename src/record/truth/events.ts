// SPDX-License-Identifier: GPL-2.0-only
import type { Counts } from './counts.ts';
import { hexOf, type TraceEvent } from './trace-text.ts';

/** The page's generation is printed up to v6.x only, and the number of roots is no part of the role. */
const pageText = /^sp (?:gen \S+ )?gfn \S+ (l\d+) (.*?)(?: root \d+)? \w+ (new|existing)$/;

/** Counts what one event says about itself. Returns the raw role word it shows, if any. */
export function countEvent(counts: Counts, event: TraceEvent): string | undefined {
  const { name, text } = event;
  switch (name) {
    case 'kvm_mmu_get_page': {
      const [, level, role, found] = pageText.exec(text) ?? [];
      counts.pages.add('total');
      counts.pages.add(found ?? 'unparsed');
      if (found) (found === 'new' ? counts.newByRole : counts.existingByRole).add(`${level} ${role}`);
      return undefined;
    }
    case 'get_page_raw': {
      const values = event.values();
      const role = hexOf(values.get('role')!);
      counts.rawRoles.add(`${role} ${values.get('created') === '0' ? 'existing' : 'new'}`);
      return role;
    }
    case 'kvm_mmu_prepare_zap_page': {
      const [, level, role] = /(l\d+) (.*?) root/.exec(text) ?? [];
      counts.zappedByRole.add(level === undefined ? '?' : `${level} ${role}`);
      return undefined;
    }
    case 'kvm_page_fault':
      counts.faults.add(hexCode(/error_code (\w+)/.exec(text)?.[1]));
      return undefined;
    case 'kvm_exit':
      counts.exits.add(/reason (\S+)/.exec(text)?.[1] ?? '?');
      return undefined;
    case 'kvm_cr': {
      const [, access, number] = /cr_(read|write) (\w+) = 0x\w+/.exec(text) ?? [];
      if (access) counts.crExits.add(`cr${Number.parseInt(number!, 16)} ${access}`);
      return undefined;
    }
    case 'kvm_inj_exception':
      counts.injected.add(text.replace('[reinjected]', '').trim());
      return undefined;
    case 'kvm_msr': {
      const [, access, index] = /msr_(read|write) (\w+)/.exec(text) ?? [];
      if (access) counts.msrs.add(`${access} ${index}`);
      return undefined;
    }
  }
  return undefined;
}

/** Error codes are printed in hexadecimal, with and without 0x. */
const hexCode = (text: string | undefined): string =>
  text === undefined ? '?' : hexOf(text.startsWith('0x') ? text : `0x${text}`);

/** A change of an entry of the TDP MMU from nothing to nothing: whole tables of them come when a root goes. */
export const isIdle = ({ name, text }: TraceEvent): boolean =>
  name === 'kvm_tdp_mmu_spte_changed' && /old_spte (0|5a0) new_spte (0|5a0)$/.test(text);
