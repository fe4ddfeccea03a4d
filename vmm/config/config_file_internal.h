/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_FILE_INTERNAL_H
#define MOTE_CONFIG_FILE_INTERNAL_H

/* What the sections of a configuration file (config_file.c) and its devices share. */

#include "vmm/base/cleanup.h"
#include "vmm/config/config_file.h"

/* What one load works on. */
struct loading {
    struct config_file *file;
    const struct json_reader *reader;
    struct vm_config *config;
    config_add_device add;
    void *context;
    struct error *error;
};

#define MEMBERS(loading, path, object, keys, target)                                               \
    json_reader_members((loading)->reader, path, object, keys, ARRAY_LENGTH(keys), target)

/* The drive that the kernel's command line shall name; its path is NULL without one. */
struct root_drive {
    const char *path, *partuuid;
    bool is_read_only;
};

/* Each adds what its section asks for; the section may be NULL. */
int config_add_drives(const struct loading *loading, struct json_object *list,
                      struct root_drive *root);
int config_add_interfaces(const struct loading *loading, struct json_object *list);
int config_add_vsock(const struct loading *loading, struct json_object *object);
int config_add_entropy(const struct loading *loading, struct json_object *object);
int config_add_balloon(const struct loading *loading, struct json_object *object);

#endif
