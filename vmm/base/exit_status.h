/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_EXIT_STATUS_H
#define MOTE_EXIT_STATUS_H

/* The exit statuses of Mote itself; the manual lists them. */
enum {
    STATUS_OK = 0,
    STATUS_PANIC = 123, /* the guest's kernel panicked */
    STATUS_TIMEOUT = 124, /* --timeout ended the job */
    STATUS_FAILED = 125,  /* Mote could not do what was asked */
    STATUS_NOT_EXECUTABLE = 126, /* the job's command, in the guest */
    STATUS_NOT_FOUND = 127,
    STATUS_SIGNAL = 128, /* plus the number of the signal that ended it */
};

#endif
