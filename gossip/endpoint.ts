/** An address and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The parts of `10.0.0.1:62501` or `[fd00::1]:62501`. */
export function parseEndpoint(text: string): Endpoint {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
}

/** The reverse of {@link parseEndpoint}; an IPv4 address in IPv6 form becomes plain. */
export function formatEndpoint(host: string, port: number): string {
  const plain = host.replace(/^::ffff:(?=\d+\.)/, "");
  return plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
}
