/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_PROTOCOL_H
#define MOTE_RUN_PROTOCOL_H

/*
 * What `mote run` and the guest's init say to each other, over vsock.
 *
 * The guest opens every connection, to CID 2 and the ports below: first the
 * control connection, on which it says HELLO and gets its JOB; then one for
 * each stream that the job has; at the end, if asked for, one for /output.
 * Nothing of a job is in the VM before JOB, so that one may be kept waiting, and
 * be saved: a copy finds its control connection cut, and says HELLO on a new one.
 *
 * The control connection carries records: a header, then LENGTH bytes, all
 * little-endian.  Streams are plain bytes; each direction ends by shutdown(2).
 *
 *   guest                         host
 *     HELLO  ------------------->         version
 *            <-------------------  PREPARE   of a guest that is to be saved
 *     PREPARED ----------------->
 *            <-------------------  PREPARE   of one that goes on from there, the first of its kind:
 *                                         it rehearses a job's start
 *     PREPARED ----------------->
 *            <-------------------  JOB    and SIGNAL, WINDOW from now on
 *     (connects its streams)
 *     STARTED or FAILED -------->
 *     (streams end)
 *     ENDED  ------------------->
 *     (connects OUTPUT: a tar archive)
 *
 * After ENDED, or FAILED, and the ends of all streams the guest has nothing
 * more to say; either side then ends the VM.
 *
 * The host takes the guest for hostile: vmm/job/record.c checks every record.
 */

#include <assert.h>
#include <stdint.h>

#define RUN_VERSION 4u

enum run_port {
    RUN_PORT_CONTROL = 1,
    RUN_PORT_STDIN,
    RUN_PORT_STDOUT,
    RUN_PORT_STDERR,
    RUN_PORT_OUTPUT,
    RUN_PORT_END,
};

enum run_record_type {
    RUN_HELLO = 1, /* guest: struct run_hello */
    RUN_PREPARE,   /* host: as JOB, but without what is one job's alone */
    RUN_PREPARED,  /* guest: nothing; the root is mounted, and a start rehearsed */
    RUN_JOB,       /* host: struct run_job and its text */
    RUN_SIGNAL,    /* host: struct run_signal */
    RUN_WINDOW,    /* host: struct run_window */
    RUN_STARTED,   /* guest: nothing; the command was executed */
    RUN_FAILED,    /* guest: struct run_failed and a text */
    RUN_ENDED,     /* guest: struct run_ended */
};

/* A record of the guest's is never longer; a JOB may be. */
#define RUN_GUEST_RECORD_MAX 1024u
#define RUN_JOB_MAX (1u << 20)
#define RUN_LAYERS_MAX 80u
#define RUN_VOLUMES_MAX 16u
#define RUN_FOLDERS_MAX 64u
#define RUN_VOLUME_FILE "file" /* in the image of a volume that is one file, its name */

struct run_header {
    uint32_t type;
    uint32_t length; /* of what follows */
};
static_assert(sizeof(struct run_header) == 8, "as guest and host share it");

struct run_hello {
    uint32_t version;
};

enum run_flags {
    RUN_STDIN = 1 << 0,  /* the job reads the stream; else its input is at its end */
    RUN_TTY = 1 << 1,    /* a terminal: STDIN and STDOUT are its two directions */
    RUN_OUTPUT = 1 << 2, /* send /output at the end */
    RUN_SCRATCH = 1 << 3, /* the disk after the layers and volumes is the writable layer */
};

/*
 * Text follows: strings with a NUL each, in this order: host name, user, work
 * directory, what resolv.conf has besides the name server, file system of each
 * layer (bottom first), target of each volume and its file system, each folder
 * that is to be there, argv, environment.  Disks are vda, vdb, … in the order
 * of layers, volumes, scratch.  A PREPARE has names that are empty, no argv and no
 * environment; its JOB names the same disks.
 */
struct run_job {
    uint32_t flags;
    uint32_t layers;
    uint32_t volumes;
    uint32_t arguments;
    uint32_t variables;
    uint32_t pids_max;      /* 0: no limit */
    uint64_t disk_limit;    /* bytes of the writable layer in memory; 0: half of the memory */
    uint16_t rows, columns; /* of the terminal */
    uint32_t text_length;
    uint32_t folders;
    uint32_t file_volumes; /* bit I: of volume I one file is shown, RUN_VOLUME_FILE, not its root */
    /* The network card, in network byte order; address 0: there is none. */
    uint32_t address, gateway, name_server, prefix_length;
    uint8_t seed[32]; /* for the random number generator */
    uint64_t clock;   /* ns since the epoch, when it was sent; 0: not told */
};
static_assert(sizeof(struct run_job) == 104, "as guest and host share it");
static_assert(RUN_VOLUMES_MAX <= 32, "a bit each");

struct run_signal {
    uint32_t number; /* SIGKILL: to all of the job's processes */
};

struct run_window {
    uint16_t rows, columns;
};

enum run_failure {
    RUN_FAILED_SETUP = 1, /* the text tells what */
    RUN_FAILED_EXEC,      /* the command; the text names it */
    RUN_FAILED_DIRECTORY, /* the one that it starts in; the text names it */
};

/* The text follows, without a NUL. */
struct run_failed {
    uint32_t failure;
    uint32_t number; /* errno */
};

/* By the job's main process. */
struct run_ended {
    uint32_t exited;       /* 1: STATUS is an exit status; 0: a signal */
    uint32_t status;
    uint64_t cpu_us;       /* of all processes of the job */
    uint64_t peak_memory;  /* bytes; 0: not known */
    uint32_t oom_kills;
    uint32_t pids_refused; /* how often --pids stopped a fork */
};
static_assert(sizeof(struct run_ended) == 32, "as guest and host share it");

#endif
