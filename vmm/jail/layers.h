/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_LAYERS_H
#define MOTE_SANDBOX_LAYERS_H

/*
 * The layers, each a file of its own, and what they share.  A layer returns 0
 * when all of it stands, else an error "what: reason; remedy".
 */

#include <pthread.h>

#include "vmm/jail/filter.h"
#include "vmm/jail/sandbox.h"

enum sandbox_layer {
    LAYER_DESCRIPTORS,
    LAYER_LIMITS,
    LAYER_CGROUP,
    LAYER_NAMESPACES,
    LAYER_ROOT,
    LAYER_NETWORK,
    LAYER_PRIVILEGES,
    LAYER_LANDLOCK,
    LAYER_SECCOMP,
    LAYER_COUNT
};

/* What the child says last when it does not end by itself; see exit_reason.c. */
struct exit_reason {
    int32_t signal; /* SIGSYS: seccomp; SIGBUS; 0 for none */
    int32_t call;   /* of SIGSYS: the system call's number */
    uint32_t thread; /* enum sandbox_thread, or SANDBOX_THREAD_COUNT */
};

/* What the regular files that the child may write can come to; see files.c. */
#define SANDBOX_SYSTEMS_MAX 8

struct sandbox_files {
    uint64_t largest; /* bytes; UINT64_MAX: one of them grows as it likes */
    uint64_t memory;  /* bytes, of those that may lie in memory */
    size_t system_count;
    struct {
        dev_t device;
        uint64_t taken;
    } systems[SANDBOX_SYSTEMS_MAX]; /* in memory */
    struct filter_descriptors descriptors;
    bool too_many_outputs; /* for those */
};

struct cgroup;

struct sandbox {
    struct sandbox_config config;
    struct log *log;
    struct cgroup *cgroup;       /* NULL where there is none */
    struct error cgroup_missing; /* why */
    bool in_cgroup;              /* the child began in it */
    struct error fork_refused;   /* why the child has no namespaces of its own */
    bool user_namespace;         /* the child has one */
    bool privileged;             /* the child is root, and becomes another */
    struct sandbox_files files;  /* from LAYER_DESCRIPTORS on */
    bool files_grew;             /* in the supervisor: a disk of the child's */
    bool files_lifted;           /* in the supervisor: for new files of the child's, from FILE_SIZE */
    uint64_t file_size;          /* bytes */
    uint64_t file_memory;        /* bytes, that the cgroup has for new files */
    pid_t supervisor;
    bool network_begun;          /* NETWORK_MAKER is to be joined, then there is NETWORK_FD */
    pthread_t network_maker;
    int network_fd;              /* or a negative errno */
    pid_t pid;                   /* the child's; 0: none */
    int reason_fd;               /* of exit reasons: the supervisor reads, the child writes */
    struct exit_reason reason;   /* in the supervisor: the first that is understood; its signal is 0 for none */
    bool reported;               /* something came, whatever it is */
    uint64_t reported_at;        /* ms */
    bool overdue;                /* it said so, and did not end */
    bool active[LAYER_COUNT];
    struct error why[LAYER_COUNT]; /* of those that are not */
};

/* ---- files.c ---- */
void files_note(struct sandbox_files *files, int fd);
bool files_in_memory(int fd, uint64_t *size); /* of the file system */
/* ---- descriptors.c ---- */
int layer_descriptors(struct sandbox *sandbox, struct error *error);
/* ---- limits.c ---- */
int layer_limits(struct sandbox *sandbox, struct error *error);
/* ---- namespaces.c: the child's first, by its creation, then the others, the network's last ---- */
uint64_t namespaces_clone_flags(bool with_user);
void namespaces_begin(struct sandbox *sandbox);
int namespaces_map_user(uid_t uid, gid_t gid, struct error *error);
int layer_namespaces(struct sandbox *sandbox, struct error *error);
int layer_network(struct sandbox *sandbox, struct error *error);
/* ---- root.c ---- */
int layer_root(struct sandbox *sandbox, struct error *error);
/* ---- privileges.c ---- */
int privileges_check(const struct sandbox_config *config, struct error *error);
int layer_privileges(struct sandbox *sandbox, struct error *error);
/* ---- landlock.c ---- */
int layer_landlock(struct sandbox *sandbox, struct error *error);
/* ---- cgroup.c ---- */
int cgroup_create(struct cgroup **cgroup, const struct sandbox_config *config,
                  struct error *error);
int cgroup_fd(const struct cgroup *cgroup); /* for CLONE_INTO_CGROUP, or -1 */
int cgroup_join(const struct cgroup *cgroup, struct error *error); /* the calling process */
uint64_t cgroup_allow(struct cgroup *cgroup, uint64_t memory); /* more of it; returns how much */
void cgroup_take_back(struct cgroup *cgroup, uint64_t memory);
bool cgroup_out_of_memory(const struct cgroup *cgroup);
void cgroup_destroy(struct cgroup *cgroup);
int layer_cgroup(struct sandbox *sandbox, struct error *error);
/* ---- seccomp.c ---- */
int layer_seccomp(struct sandbox *sandbox, struct error *error);
/* ---- exit_reason.c ---- */
void exit_reason_prepare(int fd);
void exit_reason_thread(enum sandbox_thread kind);
/*
 * What ended the child.  STATUS, from waitpid(2), is the kernel's word; WORDS, NULL for none, are those of a process that may be in
 * a guest's hands: what the kernel does not confirm is told as its claim.  OVERDUE: it did not end and was killed.
 */
int exit_reason_tell(enum sandbox_kind kind, const struct exit_reason *reason, bool overdue, int status,
                    struct error *error);

#endif
