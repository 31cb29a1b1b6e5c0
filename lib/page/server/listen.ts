import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { VlmR1Error } from "../../errors/index.js";

export const DEFAULT_PORT = 8790;
/** Ports that are tried where none was named. */
const TRIES = 30;

export interface ListenOptions {
  host: string;
  /** 0: any free one; undefined: the default one, or the next that is free. */
  port: number | undefined;
}

/** Throws `ERR_PORT_IN_USE` where the port that was named, or all that were tried, are taken. */
export async function listen(server: Server, { host, port }: ListenOptions): Promise<AddressInfo> {
  const last = port ?? DEFAULT_PORT + TRIES - 1;
  for (let candidate = port ?? DEFAULT_PORT; ; candidate += 1) {
    try {
      await listenAt(server, host, candidate);
      return server.address() as AddressInfo;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EADDRINUSE" || candidate >= last) throw listenError(error, host, candidate, port !== undefined);
    }
  }
}

function listenAt(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function listenError(error: unknown, host: string, port: number, named: boolean): VlmR1Error {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const problem = (text: string, hint: string, kind = "ERR_CONFIG") =>
    new VlmR1Error(kind, text, { hint, cause: error });
  switch (code) {
    case "EADDRINUSE": {
      const taken = named
        ? `port ${port} of ${host} is taken`
        : `ports ${DEFAULT_PORT} to ${port} of ${host} are taken`;
      return problem(
        `${taken}, by another program or another run`,
        "Name another port, or 0 for any free one.",
        "ERR_PORT_IN_USE",
      );
    }
    case "EACCES":
      return problem(`port ${port} of ${host} may not be used: permission denied`, "Name a port of 1024 or above.");
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return problem(
        `${host} is no address of this machine`,
        "Name one that it has; 127.0.0.1 is for this machine alone, 0.0.0.0 for all that reach it.",
      );
    default:
      return problem(
        `the page cannot be served at ${host}, port ${port}: ${message}`,
        "Name another host or port.",
        "ERR_IO",
      );
  }
}
