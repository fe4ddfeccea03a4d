/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_FIRECRACKER_H
#define MOTE_CONFIG_FIRECRACKER_H

/*
 * A configuration file in the schema of Firecracker's, so that such files work as
 * they are.  What Mote has no equal for is an error, unless it says what holds
 * anyway ("smt": false).  Drives, networks and the like are in firecracker_devices.c.
 */

#include "vmm/base/json_reader.h"
#include "vmm/config/config_file.h"

int firecracker_read(const struct json_reader *reader, struct vm_config *config,
                     struct config_file_log *log);

/* ---- between the two files ------------------------------------------------- */

/* What one reading works on. */
struct loading {
    const struct json_reader *reader;
    struct vm_config *config;
    struct config_file_log *log;
};

#define MEMBERS(loading, path, object, keys, target)                                               \
    json_reader_members((loading)->reader, path, object, keys, ARRAY_LENGTH(keys), target)

/* *COPY is the configuration's, of TEXT, which is the reader's or NULL. */
int firecracker_text(const struct loading *loading, const char *text, const char **copy);

/* The drive that the kernel's command line is to name; its path is NULL without one. */
struct root_drive {
    const char *path, *partuuid;
    bool is_read_only;
};

/* Each adds what its section asks for; the section may be NULL. */
int firecracker_drives(const struct loading *loading, struct json_object *list,
                       struct root_drive *root);
int firecracker_interfaces(const struct loading *loading, struct json_object *list);
int firecracker_vsock(const struct loading *loading, struct json_object *object);
int firecracker_entropy(const struct loading *loading, struct json_object *object);
int firecracker_balloon(const struct loading *loading, struct json_object *object);

#endif
