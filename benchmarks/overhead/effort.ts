/** How long to measure: rounds, and seconds of each contestant in each round. */
export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
}
