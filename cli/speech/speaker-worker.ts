// What a thread of the corpus pool runs: one task is one speaker.
export { recordSpeaker as default } from './speaker.ts';
