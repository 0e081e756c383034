// SPDX-License-Identifier: GPL-2.0-only
import { type GeneratorOption, mistake, type Settings, seed, settingsOf } from '../../workload/generators/generator.ts';
import { tracePagings } from '../guest.ts';
import type { TraceHeader } from '../header.ts';
import { type TracePresetName, tracePresets } from './presets.ts';
import { guestOf, localities, specMistake, type TraceSpec } from './stream.ts';

const every = (what: string) => ({ min: 0, max: 1_000_000_000, meaning: `accesses between two ${what}; 0 for none` });

/** Options of a named trace, with its own values as defaults. */
export function traceOptions(name: TracePresetName): readonly GeneratorOption[] {
  const spec: TraceSpec = tracePresets[name];
  const { paging, spaces, pages, size, locality, events, writes, cr3Every, wpEvery, editEvery } = spec;
  return [
    { name: 'events', default: events, min: 1, max: 2 ** 40, meaning: 'accesses and other events together' },
    { name: 'spaces', default: spaces, min: 1, max: 65536, meaning: 'address spaces' },
    { name: 'pages', default: pages, min: 1, max: 2 ** 28, meaning: 'pages of 4 KiB in each address space' },
    { name: 'size', default: size, choices: ['4k', '2m', '4m'], meaning: 'size of the pages that map them' },
    { name: 'paging', default: paging, choices: tracePagings, meaning: 'form of the guest tables' },
    {
      name: 'locality',
      default: locality,
      choices: localities,
      meaning: 'pages in order, each as likely as any, or few most often',
    },
    { name: 'writes', default: writes, min: 0, max: 256, meaning: 'writes in 256 accesses' },
    { name: 'cr3-every', default: cr3Every, ...every('loads of CR3 with the next space') },
    { name: 'wp-every', default: wpEvery, ...every('toggles of CR0.WP') },
    { name: 'edit-every', default: editEvery, ...every('edits of a leaf entry, each with its INVLPG') },
    { name: 'seed', default: spec.seed, min: 0, max: 0xffffffff, meaning: seed.meaning },
  ];
}

/** A named trace with what the user changed of it. UserError for values out of range or that do not go together. */
export function traceSpec(name: TracePresetName, given: Readonly<Record<string, string | number>>): TraceSpec {
  const settings = settingsOf({ name, options: traceOptions(name) }, given);
  const spec = specOf(settings);
  const wrong = specMistake(spec);
  if (wrong !== null) throw mistake(name, wrong.found, wrong.expected);
  return spec;
}

function specOf(settings: Settings): TraceSpec {
  return {
    events: settings.number('events'),
    spaces: settings.number('spaces'),
    pages: settings.number('pages'),
    // Words are of the option's choices.
    size: settings.word('size') as TraceSpec['size'],
    paging: settings.word('paging') as TraceSpec['paging'],
    locality: settings.word('locality') as TraceSpec['locality'],
    writes: settings.number('writes'),
    cr3Every: settings.number('cr3-every'),
    wpEvery: settings.number('wp-every'),
    editEvery: settings.number('edit-every'),
    seed: settings.number('seed'),
  };
}

/** Header of a generated trace: it names the generator and every option, so that the events can be made again. */
export function generatedHeader(name: TracePresetName, spec: TraceSpec): TraceHeader {
  const { events, spaces, pages, size, paging, locality, writes, cr3Every, wpEvery, editEvery } = spec;
  const origin = {
    generator: name,
    events,
    spaces,
    pages,
    size,
    paging,
    locality,
    writes,
    'cr3-every': cr3Every,
    'wp-every': wpEvery,
    'edit-every': editEvery,
    seed: spec.seed,
  };
  return { name, guest: guestOf(spec), phases: [], origin };
}
