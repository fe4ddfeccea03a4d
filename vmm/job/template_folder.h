/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_RUN_TEMPLATE_FOLDER_H
#define MOTE_RUN_TEMPLATE_FOLDER_H

/* The folder of templates and the files in it: what template.c and template_list.c share. */

#include <json-c/json_object.h>

#include "vmm/job/template.h"

#define TEMPLATES_FOLDER "templates"
#define TEMPLATE_STATE "state"
#define TEMPLATE_MEMORY "memory"
#define TEMPLATE_ABOUT "about"

/* The text NAME of an about, or "". */
const char *template_text(struct json_object *about, const char *name);

/* What FOLDER/NAME tells of itself; NULL: nothing.  To be put by the caller. */
struct json_object *template_read_about(int folder, const char *name);

/* Of the template NAME in FOLDER; what is not there is removed. */
void template_remove_name(int folder, const char *name);

/* Removes those used least recently but for TEMPLATES_KEPT, and what a kill left by half. */
void template_sweep(int folder);

#endif
