/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/encoded_job.h"

#include "vmm/job/job.h"

uint8_t *encoded_job(int prepare, size_t *length)
{
    static char data[] = "/data", more[] = "/more/deep", echo[] = "echo", empty[] = "", last[] = "last";
    static char variable[] = "A=1";
    char *folders[] = { data, more, NULL }, *arguments[] = { echo, empty, last, NULL };
    char *environment[] = { variable, NULL };
    struct text_list folder_list = { 2, folders }, argument_list = { 3, arguments };
    struct text_list environment_list = { 1, environment };
    struct job job = {
        .head = { .flags = RUN_STDIN, .pids_max = 7, .address = 0x0f02000a },
        .host_name = "host", .user = "1:2", .work_directory = "/work", .resolver = "search a\n",
        .folders = &folder_list, .layer_count = 3, .layers = { "erofs", "ext4", "squashfs" },
        .volume_count = 2, .volumes = { { "/v", "erofs" }, { "/w", "ext4", true } },
        .arguments = &argument_list, .environment = &environment_list,
    };
    struct error error = ERROR_INIT;
    uint8_t *bytes = NULL;
    int result = prepare ? job_encode_prepare(&job, &bytes, length, &error)
                         : job_encode(&job, &bytes, length, &error);

    return result < 0 ? NULL : bytes;
}
