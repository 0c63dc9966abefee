/** The kernel in memory refuses something: errno name, and the extended text that Linux adds, if any. `FakeKernel`
 *  makes a NetError of it, which says what was tried. */
export class Refusal extends Error {
  constructor(
    readonly errno: string,
    readonly said = "",
  ) {
    super(`${errno} ${said}`);
  }
}
