import { readFile } from 'node:fs/promises';
import { ElmanError } from '../errors.ts';
import { decodeSafetensors } from './safetensors.ts';

/** The first bytes of torch.save's files: a zip archive, before PyTorch 1.6 a pickle. */
const TORCH_SAVE = ['PK', '\x80\x02'];

/** A safetensors file that has been read: what errors call it, and what is in it. */
type SafetensorsFile = { readonly name: string } & ReturnType<typeof decodeSafetensors>;

/**
 * Reads a safetensors file, given by its path or as its bytes.
 * @param kind what the file should be, for the error
 * @throws BAD_FILE_…; the file system's errors
 */
export async function readSafetensors(source: string | Uint8Array, kind: string): Promise<SafetensorsFile> {
  const isPath = typeof source === 'string';
  const name = isPath ? source : `${source.length} bytes`;
  const bytes = isPath ? await readFile(source) : source;
  try {
    return { name, ...decodeSafetensors(bytes) };
  } catch (cause) {
    if (!(cause instanceof ElmanError)) throw cause;
    const isTorchs = bytes.length > 1 && TORCH_SAVE.includes(String.fromCharCode(bytes[0], bytes[1]));
    const advice = isTorchs ? '; it looks like torch.save: write it with safetensors.torch.save_file' : '';
    throw new ElmanError(cause.code, `${name} cannot be read as ${kind}: ${cause.message}${advice}`, {
      cause,
    });
  }
}
