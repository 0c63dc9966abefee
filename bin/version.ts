/** Version of this program. A test keeps it equal to package.json's, which the program doesn't carry with it. */
export const VERSION = "0.1.0";
