// SPDX-License-Identifier: GPL-2.0-only
/** SVM is AMD's and VMX is Intel's: APM vol. 2 15.1, SDM vol. 3C 24.6. */
import { describe, expect, it } from 'vitest';
import { resolvePort } from '../../src/replay/every-port.ts';
import { isAvailable } from '../../src/replay/record.ts';
import { replay } from '../../src/replay/run.ts';
import { renderMarkdown, renderText } from '../../src/report/document.ts';
import { renderHtml } from '../../src/report/html.ts';
import { replayCsv, replayDocument, replayJson, replayJsonl } from '../../src/report/replay.ts';
import { parseOps } from '../../src/workload/parse.ts';

const start = `pt A l4
ident A
map A 0x10000000 0x400000 4 4k pw
pt L2 l4
ident L2
map L2 0x10000000 0x800000 4 4k pw
`;

const svm = `${start}vmcb V 0x41000 L2 - 1
prot32
enterlong A
svmon
l2 body
touchw 0x10000000 4
endl2
phase work
repeat 3
vmrun V body
end
efer -NX
touchr 0x10000000 2
phase done
`;

const vmx = `${start}vmcs V L2 -
prot32
enterlong A
l2 body
touchw 0x10000000 4
endl2
phase work
vmentry V body
phase done
`;

function run(text: string, kind: 'shadow' | 'npt' | 'ept', vendor: 'svm' | 'vmx') {
  const result = replay(resolvePort('cpu-role'), parseOps(text, 'x.ops'), { kind, implementation: null, vendor });
  if (!isAvailable(result)) throw new Error(result.unavailable);
  return result;
}

describe('SVM on an Intel host', () => {
  for (const kind of ['shadow', 'ept'] as const)
    it(`is reported and left out: ${kind}`, () => {
      const result = run(svm, kind, 'vmx');
      expect(result.stopped).toBeNull();
      expect(result.notInEra.map(({ line, feature, count }) => [line, feature, count])).toEqual([
        [10, 'svm', 1],
        [16, 'svm', 3],
      ]);
      expect(result.notInEra.every(({ reason }) => reason.includes('SVM needs an AMD host'))).toBe(true);
      const { exits } = result.total;
      expect(exits.vmrun ?? exits.vmload ?? exits.vmsave).toBeUndefined();
      // EFER: LME and NX, then without NX; SVME, which the program's later values have, reaches no register.
      expect(result.total.registerWrites.efer).toBe(2);
      expect(result.guestFaults).toEqual([]);
    });

  it('is said in every format', () => {
    const results = [run(svm, 'shadow', 'vmx')];
    const document = replayDocument(results, { explain: false, phases: false, proposed: [] });
    for (const text of [
      renderText(document),
      renderMarkdown(document),
      renderHtml(document, new Map()),
      replayCsv(results),
      replayJson(results),
      replayJsonl(results),
    ])
      expect(text).toContain('SVM needs an AMD host');
  });

  it('runs on an AMD host', () => {
    const result = run(svm, 'shadow', 'svm');
    expect(result.notInEra).toEqual([]);
    expect(result.total.exits.vmrun).toBe(3);
  });
});

describe('VMX on an AMD host', () => {
  for (const kind of ['shadow', 'npt'] as const)
    it(`is reported and left out: ${kind}`, () => {
      const result = run(vmx, kind, 'svm');
      expect(result.notInEra.map(({ line, feature, count }) => [line, feature, count])).toEqual([[14, 'vmx', 1]]);
      expect(result.notInEra[0]!.reason).toContain('VMX needs an Intel host');
      expect(result.total.exits.vmentry).toBeUndefined();
    });

  it('runs on an Intel host', () => {
    const result = run(vmx, 'shadow', 'vmx');
    expect(result.notInEra).toEqual([]);
    expect(result.total.exits.vmentry).toBe(1);
  });
});
