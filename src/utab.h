/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has root's umount(8) run our helper for a mount, which waits until the
 * daemon has committed and synced (umount.msyncfs(8)).
 *
 * By itself it asks the mount for its type, is told "fuse", and looks for
 * umount.fuse; but not if mount(8)'s table of its own options names a helper.
 * Once for each mount, by root; it serves our mount while this waits, so other
 * threads must. Nothing depends on it: without mount(8) there is no note.
 */
#ifndef MSYNCFS_UTAB_H
#define MSYNCFS_UTAB_H

void utab_note(const char *store, const char *mountpoint);

#endif
