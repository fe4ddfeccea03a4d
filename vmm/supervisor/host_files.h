/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_HOST_FILES_H
#define MOTE_HOST_FILES_H

/*
 * What a VM has of the host: the files, devices and programs that its configuration names are opened, locked, checked and
 * started by its supervisor, as the user may.  The VM's process inherits the descriptors, and opens none of them itself.
 */

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/config/config.h"

/*
 * Before each start of CONFIG's VM.  What is open from the start before stays so, and locked: nobody else gets a disk while a
 * VM restarts.  After an error host_files_close() is due as well.
 */
int host_files_open(struct vm_config *config, struct log *log, struct error *error);

/* The VM's process has been started, or could not be: closes what it alone needs. */
void host_files_inherited(struct vm_config *config);

/* When the VM's process has ended, and is not started again. */
void host_files_close(struct vm_config *config);

#endif
