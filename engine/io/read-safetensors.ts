import { readFile } from 'node:fs/promises';
import { ElmanError } from '../errors.ts';
import { decodeSafetensors } from './safetensors.ts';

/** The first bytes of torch.save's files: a zip archive, before PyTorch 1.6 a pickle. */
const TORCH_SAVE = ['PK', '\x80\x02'];

/**
 * Reads a safetensors file.
 * @param kind what the file should be, for the error
 * @throws BAD_FILE_…
 */
export async function readSafetensors(
  path: string,
  kind: string,
): Promise<ReturnType<typeof decodeSafetensors>> {
  const bytes = await readFile(path);
  try {
    return decodeSafetensors(bytes);
  } catch (cause) {
    if (!(cause instanceof ElmanError)) throw cause;
    const isTorchs = TORCH_SAVE.includes(String.fromCharCode(...bytes.subarray(0, 2)));
    const advice = isTorchs ? '; it looks like torch.save: write it with safetensors.torch.save_file' : '';
    throw new ElmanError(cause.code, `${path} cannot be read as ${kind}: ${cause.message}${advice}`, {
      cause,
    });
  }
}
