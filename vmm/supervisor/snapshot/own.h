/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SNAPSHOT_OWN_H
#define MOTE_SNAPSHOT_OWN_H

/*
 * Which snapshots say what this user said.
 *
 * A snapshot's state names the disks, files, sockets and networks that its VM gets.  The one that a Mote of this user's has
 * saved names what the VM had by a command line of theirs.  One from elsewhere may name any file of theirs, and is
 * restored only with a word for that.  They are told apart by a note that the supervisor makes when it saves one, in
 * $XDG_STATE_HOME/mote/snapshots (or ~/.local/state/…), where only the user may write: the snapshot's id with the inode, the size
 * and the time of the last change (ctime) of its state, which no program can set.  So a copy is not known, nor is a state that was
 * changed, unpacked from an archive or moved to another file system; a folder that was renamed is.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/snapshot/memory_file.h"

/* Notes left; beyond, the oldest goes, and its snapshot is as one from elsewhere. */
#define SNAPSHOT_NOTES_MAX 4096

/* The state STATE_FD of the snapshot ID, which is not written any more, was saved by this user.  Where that cannot be noted it is not known. */
void snapshot_own_note(int state_fd, const uint8_t id[SNAPSHOT_ID_SIZE]);
bool snapshot_is_own(int state_fd, const uint8_t id[SNAPSHOT_ID_SIZE]);

#endif
