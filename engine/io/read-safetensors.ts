import { readFile } from 'node:fs/promises';
import { ElmanError } from '../errors.ts';
import { decodeSafetensors } from './safetensors.ts';

/** What is in a safetensors file. Throws BAD_FILE_…, which names the file and what it should have been. */
export async function readSafetensors(
  path: string,
  kind: string,
): Promise<ReturnType<typeof decodeSafetensors>> {
  const bytes = await readFile(path);
  try {
    return decodeSafetensors(bytes);
  } catch (cause) {
    throw cause instanceof ElmanError
      ? new ElmanError(cause.code, `${path} is no whole ${kind}: ${cause.message}`, { cause })
      : cause;
  }
}
