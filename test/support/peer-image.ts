import type { Machine } from "./peer-machine.ts";

/** Where {@link writeImage} puts the root file system of test containers inside the machine, as a directory and as
 *  tar. */
export const ROOTFS = "/run/test/rootfs";
export const ROOTFS_TAR = "/run/test/rootfs.tar";

/** A root file system of busybox and nothing else; the static build needs no libraries. */
export async function writeImage(machine: Machine): Promise<void> {
  await machine.script(imageScript(ROOTFS, ROOTFS_TAR));
}

/** The shell script that makes the directory and the tar. */
export function imageScript(rootfs: string, tar: string): string {
  return `
    mkdir -p ${rootfs}/bin ${rootfs}/etc ${rootfs}/proc ${rootfs}/sys ${rootfs}/dev ${rootfs}/tmp
    cp "$(command -v busybox)" ${rootfs}/bin/busybox
    for applet in sh httpd nc ping ping6 sleep cat mkdir; do ln -s busybox ${rootfs}/bin/$applet; done
    tar -C ${rootfs} -cf ${tar} .
  `;
}

/** The command of a container that serves its own name on TCP port 80 over IPv4 and IPv6. */
export function nameServer(name: string): string[] {
  return ["sh", "-c", `mkdir -p /tmp/www; echo ${name} >/tmp/www/index.html; exec httpd -f -p 80 -h /tmp/www`];
}
