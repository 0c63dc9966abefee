import { type ErrorCode, NetError, type NetErrorDetails } from "../lib/error.ts";

/** errno names by number, the same on x86-64 and arm64 (asm-generic/errno.h). */
const ERRNO: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  7: "E2BIG",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  34: "ERANGE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  39: "ENOTEMPTY",
  40: "ELOOP",
  52: "EBADE",
  67: "ENOLINK",
  71: "EPROTO",
  75: "EOVERFLOW",
  88: "ENOTSOCK",
  90: "EMSGSIZE",
  92: "ENOPROTOOPT",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  103: "ECONNABORTED",
  104: "ECONNRESET",
  105: "ENOBUFS",
  106: "EISCONN",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  113: "EHOSTUNREACH",
  122: "EDQUOT",
};

const MEANING: Readonly<Record<string, ErrorCode>> = {
  EEXIST: "already-exists",
  EBUSY: "busy",
  EAGAIN: "busy",
  ENOENT: "not-found",
  ESRCH: "not-found",
  ENODEV: "not-found",
  EADDRNOTAVAIL: "not-found",
  EPERM: "permission",
  EACCES: "permission",
  ENOSYS: "unsupported",
  EOPNOTSUPP: "unsupported",
  EPROTONOSUPPORT: "unsupported",
  EAFNOSUPPORT: "unsupported",
  EINVAL: "invalid",
  ERANGE: "invalid",
  ENAMETOOLONG: "invalid",
};

/** `EEXIST`, or `errno 133` for one we have no name for. */
export function errnoName(errno: number): string {
  return ERRNO[errno] ?? `errno ${errno}`;
}

/** A NetError for a positive errno; `said` adds the kernel's own text to the errno name. */
export function errnoError(errno: number, details: Omit<NetErrorDetails, "errno">): NetError {
  return namedErrnoError(errnoName(errno), details);
}

/** Like {@link errnoError}, for an errno known by its name. */
export function namedErrnoError(name: string, details: Omit<NetErrorDetails, "errno">): NetError {
  const said = details.said === undefined || details.said === "" ? name : `${name} (${details.said})`;
  return new NetError(MEANING[name] ?? "kernel", { ...details, said, errno: name });
}
