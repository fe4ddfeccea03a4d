/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_CONFIG_FORMS_H
#define MOTE_TEST_CONFIG_FORMS_H

/* The forms of a configuration, each there and back. */

#include "vmm/config/config.h"

/* CONFIG as JSON, which the caller frees; or NULL and the error. */
char *config_to_json(const struct vm_config *config, struct error *error);

/* *BACK, the caller's to release, of the text; as config_json_read(). */
int config_from_json(struct vm_config *back, const char *json, struct error *error);

/* The devices of CONFIG by a snapshot's wire form; the same. */
int config_by_wire(struct vm_config *back, const struct vm_config *config, struct error *error);

#endif
