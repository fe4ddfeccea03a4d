/* SPDX-License-Identifier: Apache-2.0 */
/* `mote snapshot merge` and `verify`: what is done to a snapshot without its VM. */

#include <errno.h>

#include "vmm/cli/commands.h"
#include "vmm/base/options.h"
#include "vmm/supervisor/snapshot/folder.h"
#include "vmm/supervisor/snapshot/merge.h"

int cmd_snapshot_merge(int argc, char **argv)
{
    static const struct option_table table = {
        "mote snapshot merge FOLDER [INTO]",
        "Folds a snapshot made with --diff, and its bases, to a full one: in its place, or into the new\n"
        "folder INTO.  What is a difference from it stays one.",
        "  mote snapshot merge ./web.monday\n"
        "  mote snapshot merge ./web.monday ./web.full\n", NULL, 0,
    };
    struct error error = ERROR_INIT;
    bool helped;
    int words;

    if (options_parse_words(&table, NULL, argc, argv, &words, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (argc - words < 1 || argc - words > 2) {
        error_set(&error, EINVAL, "mote snapshot merge: name the snapshot's folder, and a new one at most; "
                  "try --help");
        return command_failed(&error);
    }
    if (snapshot_merge(argv[words], argc - words == 2 ? argv[words + 1] : NULL, &error) < 0)
        return command_failed(&error);
    return STATUS_OK;
}

int cmd_snapshot_verify(int argc, char **argv)
{
    static const struct option_table table = {
        "mote snapshot verify FOLDER",
        "Reads all the memory of a snapshot and its bases and compares it with their checksums.\n"
        "A copy that is sound is restored without being read through again from then on.",
        "  mote snapshot verify ./web.snapshot\n", NULL, 0,
    };
    static const char *const names[] = { "snapshot's folder" };
    struct vm_snapshot_source source;
    struct error error = ERROR_INIT;
    const char *folder;
    bool helped;

    if (options_parse_mixed(&table, NULL, argc, argv, &folder, names, 1, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (snapshot_folder_verify(&source, folder, &error) < 0)
        return command_failed(&error);
    snapshot_source_close(&source);
    return STATUS_OK;
}
