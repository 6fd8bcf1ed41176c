import { createHash } from 'node:crypto';

/** The part of the corpus a voice speaks in. */
export type Part = 'train' | 'validation' | 'test';

export interface Voice {
  /** Name of eSpeak NG's variant file; '' is the plain voice. */
  variant: string;
  part: Part;
}

export interface VoiceChoice {
  /** In the order of their names. */
  voices: Voice[];
  leftOut: { name: string; reason: string }[];
}

/** What a voice is called in reports; the plain one has no variant file. */
export const displayName = ({ variant }: Voice): string => variant || 'en-us';

export const voiceRule = {
  /** F1 to F5 must lie within these multiples of the plain voice's formants. */
  lowestFormantScale: 0.6,
  highestFormantScale: 1.4,
  /** Loudness of the echo in percent: above it, a phoneme sounds on into the next ones. */
  loudestEcho: 20,
  /** Percent of the plain voice's voicing: below it, the voice whispers and b is p. */
  weakestVoicing: 25,
  /** Share of the voices that are only heard in validation and in the test. */
  validationShare: 0.1,
  testShare: 0.2,
} as const;

/** Hertz: formants of a neutral vowel, at which a variant's scale and shift are weighed together. */
const neutralFormantsHz = [500, 1500, 2500, 3500, 4500];

/** Attributes that change no sound of an adult voice speaking English at a given pitch and rate. */
const silentAttributes = new Set(['language', 'name', 'gender', 'fast_test2']);

interface Attribute {
  key: string;
  values: number[];
}

/** Lines of a variant file; of a repeated attribute the last one counts, as in the synthesizer. */
function parseDefinition(definition: string): Map<string, Attribute> {
  const attributes = new Map<string, Attribute>();
  for (const line of definition.split(/\r\n|\r|\n/)) {
    const [key, ...rest] = line
      .replace(/(\/\/|#).*$/, '')
      .trim()
      .split(/\s+/);
    if (key === '') continue;
    const values = rest.map(Number);
    // Each formant is an attribute of its own: `formant 2 100 90 80` is the second one's.
    attributes.set(key === 'formant' ? `formant ${values.shift()}` : key, { key, values });
  }
  return attributes;
}

/** Frequencies of F1 to F5 in Hertz for a neutral vowel: what makes the mouth of a voice. */
function formantsHz(attributes: Map<string, Attribute>): number[] {
  return neutralFormantsHz.map((neutral, index) => {
    const [percent = 100, , , shiftHz = 0] = attributes.get(`formant ${index + 1}`)?.values ?? [];
    return (neutral * percent) / 100 + shiftHz;
  });
}

/** Why a voice is left out, or undefined if it is not. Looks at nothing but the definition. */
export function reasonToLeaveOut(definition: string): string | undefined {
  const attributes = parseDefinition(definition);
  if ([...attributes.values()].every(({ key }) => silentAttributes.has(key))) {
    return 'sounds like the plain voice';
  }
  const [delay = 0, echo = 0] = attributes.get('echo')?.values ?? [];
  if (delay > 0 && echo > voiceRule.loudestEcho) return `echo of ${echo} %`;
  const [voicing = 100] = attributes.get('voicing')?.values ?? [];
  if (voicing < voiceRule.weakestVoicing) return `whispers: voicing of ${voicing} %`;
  for (const [index, formant] of formantsHz(attributes).entries()) {
    const scale = formant / neutralFormantsHz[index];
    if (scale < voiceRule.lowestFormantScale || scale > voiceRule.highestFormantScale) {
      return `formant ${index + 1} at ${Math.round(100 * scale)} %`;
    }
  }
  return undefined;
}

/**
 * Chooses the speakers and which of them are held out, from the variants' names and definitions alone.
 *
 * Variants with the same first five formants are one mouth at another pitch; they form a family and
 * stay in the same part, so that a held-out speaker is really a new one. Families are taken in the
 * order of the SHA-256 of their first name, first for the test, then for validation. One that would
 * overfill a part is passed on to the next; the rest is for training.
 *
 * @param definitions - texts of the variant files by name
 */
export function chooseVoices(definitions: Map<string, string>): VoiceChoice {
  const leftOut: VoiceChoice['leftOut'] = [];
  const families = new Map<string, string[]>([[String(formantsHz(new Map())), ['']]]);
  for (const name of [...definitions.keys()].sort()) {
    const definition = definitions.get(name) ?? '';
    const reason = reasonToLeaveOut(definition);
    if (reason !== undefined) {
      leftOut.push({ name, reason });
      continue;
    }
    const mouth = String(formantsHz(parseDefinition(definition)));
    families.set(mouth, [...(families.get(mouth) ?? []), name]);
  }
  return { voices: splitFamilies([...families.values()]), leftOut };
}

function splitFamilies(families: string[][]): Voice[] {
  const total = families.flat().length;
  const room = {
    test: Math.round(total * voiceRule.testShare),
    validation: Math.round(total * voiceRule.validationShare),
  };
  const partFor = (size: number): Part => {
    for (const part of ['test', 'validation'] as const) {
      if (size > room[part]) continue;
      room[part] -= size;
      return part;
    }
    return 'train';
  };
  const byHash = families.map((family) => ({ family, hash: sha256(family[0]) }));
  byHash.sort((a, b) => (a.hash < b.hash ? -1 : 1));
  return byHash
    .flatMap(({ family }) => {
      const part = partFor(family.length);
      return family.map((variant) => ({ variant, part }));
    })
    .sort((a, b) => (a.variant < b.variant ? -1 : 1));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
