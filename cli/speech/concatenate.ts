/** The pieces one after the other, in an array of their own. */
export function concatenate<Values extends Float32Array | Int16Array>(
  pieces: readonly Values[],
  make: new (length: number) => Values,
): Values {
  const whole = new make(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}
