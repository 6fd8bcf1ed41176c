/** Something that holds threads until it is closed. */
export interface Closable {
  close(): Promise<void>;
}

/** Runs `use` with what is being opened, and closes it whatever happens, even if some of it could not be opened. */
export async function withOpen<T extends readonly Promise<Closable>[], R>(
  opening: readonly [...T],
  use: (...opened: { [K in keyof T]: Awaited<T[K]> }) => Promise<R>,
): Promise<R> {
  try {
    return await use(...((await Promise.all(opening)) as { [K in keyof T]: Awaited<T[K]> }));
  } finally {
    for (const opened of await Promise.allSettled(opening)) {
      if (opened.status === 'fulfilled') await opened.value.close();
    }
  }
}
