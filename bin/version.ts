import { version } from "../package.json" with { type: "json" };

/** Version of this program, the one place for it being package.json. */
export const VERSION: string = version;
