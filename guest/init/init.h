/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_INIT_H
#define MOTE_INIT_H

/*
 * The init of a guest of `mote run`: gets one job over vsock, makes a root file
 * system for it, runs it, passes its streams on, tells how it ended.
 *
 * A static program of few files, each with one task; init.c has the order of
 * things.  What cannot be gone on from ends in init_failed(), which tells the
 * host; there is nobody else to return an error to.  The host is trusted here,
 * the job and its root file system are not.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/init/protocol.h"

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- init.c ---- */

/* Tells the host (or the console, before there is one), then ends the guest. */
_Noreturn void init_failed(int number, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void init_end(void);

/* ---- channel.c: the connections to the host ---- */

/* A stream to PORT of the host; -1 with errno.  Blocking. */
int channel_open(enum run_port port);

/* One record; a host that is gone ends the guest. */
void channel_send(int control, enum run_record_type type, const void *bytes, size_t length,
                  const char *text);

/* All of LENGTH bytes, or 0 at the end of the stream, or -1 with errno. */
ssize_t channel_read(int fd, void *bytes, size_t length);
int channel_write(int fd, const void *bytes, size_t length);

/* ---- job.c: what the host wants done ---- */

struct job {
    struct run_job head;
    const char *host_name, *user, *work_directory, *resolver;
    const char *layers[RUN_LAYERS_MAX]; /* file system of each, bottom first */
    struct volume {
        const char *target, *file_system;
        bool file; /* one file of it is shown */
    } volumes[RUN_VOLUMES_MAX];
    const char *folders[RUN_FOLDERS_MAX];
    char **arguments, **environment;
};

/* Waits for a JOB or PREPARE on CONTROL, and tells which.  False: the connection ended before. */
bool job_receive(int control, struct job *job, bool *prepares);

/* ---- modules.c ---- */

/* Loads what /modules.list names, if there is one. */
void modules_load(void);

/* ---- mounts.c ---- */

/* What the init itself needs: /proc, /sys, /dev. */
void mounts_early(void);

/* The job's root from its disks becomes ours, with /proc, /sys, /dev and the rest in it. */
void mounts_root(const struct job *job);

/* What the job leaves in /output is to be sent. */
void mounts_output(void);

/* mkdir -p of a path in the job's root that no symbolic link leads out of. */
int mounts_make_directory(const char *path, mode_t mode);
/* An empty file there, and its parents, where nothing is; EISDIR where a folder is. */
int mounts_make_file(const char *path);
/* mounts_make_directory(); the last of it, where it was not there, is the user's. */
int mounts_make_directory_for(const char *path, uid_t uid, gid_t gid);

/* ---- machine.c: host name, network, entropy ---- */

void machine_let_idle(void);
void machine_seed(const uint8_t *seed, size_t length);
void machine_set_clock(uint64_t nanoseconds);
void machine_set_up(const struct job *job);

/* ---- etc.c ---- */

/* /etc/hosts and /etc/hostname in the folder ETC where they are missing or empty. */
void etc_names(const char *etc, const char *host_name, uint32_t address);
/* /etc/resolv.conf, over whatever there is. */
void etc_resolver(const char *etc, uint32_t name_server, const char *rest);

/* ---- cgroup.c: the job's group of processes ---- */

struct usage {
    uint64_t cpu_us, peak_memory;
    uint32_t oom_kills, pids_refused;
};

void cgroup_create(void);
void cgroup_limit(uint32_t pids_max); /* 0: none */
pid_t cgroup_fork(void); /* as fork(2), into the job's group; the child is to exec */
/* What was used of a processor by now was not the job's. */
void cgroup_count_anew(void);
struct usage cgroup_usage(void);

/* ---- user.c ---- */

#define GROUPS_MAX 64

struct user {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[GROUPS_MAX]; /* GID among them */
    char home[256];
};

/* SPEC is USER[:GROUP], names or numbers, by passwd and group in FOLDER, the root's own /etc. */
void user_find(const char *spec, const char *folder, struct user *user);

/* ---- process.c: the job's main process ---- */

struct process {
    pid_t pid;
    int input, output, error; /* our ends; -1: the job has no such stream */
    int exec_status;          /* readable: an errno, or its end once the command runs */
};

void process_start(const struct job *job, const struct user *user, struct process *process);
/* How the kernel chooses whom to kill when memory is used up: from "-1000", never, to "1000". */
void process_spare(const char *score);
/* Starts and ends a process as the job's will be, so that its like is known to the monitor: no job is there yet. */
#define REHEARSAL "rehearsal"
void process_rehearse(void);
/* Why the command does not run, a number of 0 once it does. */
struct start_failure {
    enum run_failure failure;
    int number; /* errno */
};
struct start_failure process_exec_result(const struct process *process);

/* ---- relay.c: bytes from one descriptor to another ---- */

#define RELAY_BUFFER (64u << 10)

struct relay {
    int from, to; /* -1: closed; both non-blocking */
    bool finished;
    size_t first, end;
    uint8_t bytes[RELAY_BUFFER];
};

void relay_open(struct relay *relay, int from, int to);
/* What to poll for now: descriptor and events of the next step; fd -1 when finished. */
struct pollfd relay_wait(const struct relay *relay);
void relay_step(struct relay *relay);

/* ---- plain.c ---- */

/* As an ordinary init, after the host's socket failed by the errno REASON. */
_Noreturn void plain_init(int reason);

/* ---- tar.c ---- */

/* The folder PATH as a tar archive (pax) to FD.  0, or -1 with errno. */
int tar_write(int fd, const char *path);

#endif
